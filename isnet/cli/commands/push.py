"""`isnet weights push`: publishes the weights of a run on Hugging Face's hub."""

import logging
import shutil
import tempfile
from pathlib import Path

from isnet.checkpoints.hub import PREFIX, WEIGHTS, check_repository, publish
from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of
from isnet.records.result_reader import RunResults, read_run
from isnet.settings.plan import Plan

_log = logging.getLogger(__name__)

_COPIED = {WEIGHTS: WEIGHTS, "config.py": "config.py", "model_card.md": "README.md"}
"""Files of a training, and their names in the repository: the hub shows README.md."""


def push_weights(plan: Plan, repository: str, *, run: str, private: bool) -> None:
    """Publish weights, config and model card of an evaluated run as one commit on the hub.

    The repository OWNER/NAME is created if there is none, hidden from others if `private`. Raises
    UserError if the run is not evaluated, its weights are not those that were evaluated, or the hub
    cannot be reached or refuses.
    """
    check_repository(repository)
    results = read_run(run, plan.layout.results)
    _check_scored(results)
    score = results.evaluated.single_scale.mIoU
    message = f"{run}: {'no score' if score is None else f'{100 * score:.2f} % mIoU'}"
    with tempfile.TemporaryDirectory(prefix="isnet-push-") as folder:
        _fill(Path(folder), results.folder / "train")
        _log.info(f"uploads {', '.join(sorted(file.name for file in Path(folder).iterdir()))}")
        done = publish(repository, Path(folder), message, private=private)
    _log.info(f"{PREFIX}{repository} is at {done.endpoint}/{repository}")
    if private:
        _log.info(f"`isnet weights fetch {PREFIX}{repository}@{done.commit}` downloads them")
        return
    url, sha256 = done.weights, results.evaluated.weights_sha256
    _log.info(f"in a run, `init_from: {{url: {url}, sha256: {sha256}}}` starts from them")


def _check_scored(run: RunResults) -> None:
    train = run.folder / "train"
    missing = next((name for name in _COPIED if not (train / name).is_file()), None)
    if missing:
        hint = f"Run `isnet train --run {run.name}`, then `isnet evaluate --run {run.name}`"
        raise UserError("is missing", where=str(train / missing), hint=hint)
    if sha256_of(train / WEIGHTS) != run.evaluated.weights_sha256:
        raise UserError(
            "are not the weights that the model card describes",
            where=str(train / WEIGHTS),
            hint=f"Run `isnet evaluate --run {run.name}` first",
        )


def _fill(folder: Path, train: Path) -> None:
    """Copy a run's files to `folder`, and add its tensors as `model.safetensors`."""
    from safetensors.torch import save_file

    from isnet.checkpoints.weights_formats import open_weights

    for name, published in _COPIED.items():
        shutil.copyfile(train / name, folder / published)
    tensors = open_weights(train / WEIGHTS).tensors
    # Of their own: the format has no tensors that share memory, as tied weights do.
    own = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_file(own, folder / "model.safetensors", {"format": "pt"})

"""Provides the weights that a run needs: local files, downloads, weights of another run."""

import logging
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from isnet.checkpoints.pretrained import fetch_pretrained, pretrained_files
from isnet.io.atomic_files import read_json
from isnet.io.console import show_progress
from isnet.settings.plan import Plan
from isnet.settings.start_weights import StartWeights
from isnet.training.train_job import TrainJob, has_checkpoints

_log = logging.getLogger(__name__)

_LENGTHS = ("iterations", "overrides.train_cfg.", "overrides.param_scheduler")
"""Settings that change with the length of a training."""


def start_file(plan: Plan, run: str) -> Path | None:
    """Return where the weights that a run starts from or scores are, or will be.

    None if the run starts from new weights.
    """
    start = plan.run(run).start
    if start is None:
        return None
    if start.url:
        name = PurePosixPath(urlsplit(start.url).path).name or "weights.pth"
        return plan.layout.data / "downloads" / "weights" / str(start.sha256)[:16] / name
    return trained_weights(plan, start.run) if start.run else start.file


def trained_weights(plan: Plan, run: str) -> Path:
    """Return the weights that a run has, or will have, with its present settings and data."""
    digest = plan.manifest_digest(plan.run(run).run.dataset)
    key = plan.train_key(run, digest) if digest else "no-data"
    finished = plan.layout.run_work(run, key) / "train"
    published = plan.layout.train_results(run)
    if not finished.is_dir() and read_json(published / "train.json").get("key") == key:
        return published / "weights.pth"
    return finished / "weights.pth"


def convert_start_data(plan: Plan, run: str) -> None:
    """Convert the data of the run whose weights `run` needs, and of that one's, if not done yet.

    A training's key contains theirs. Snakemake has done it before; DVC cannot know of it.
    """
    from isnet.pipeline import dataset_stages

    start = plan.run(run).start
    if start is None or start.run is None:
        return
    dataset = plan.run(start.run).run.dataset
    if plan.manifest_digest(dataset) is None:
        dataset_stages.download(plan, dataset)
        dataset_stages.convert(plan, dataset)
    convert_start_data(plan, start.run)


def untrained_start(plan: Plan, run: str, work: Path) -> str | None:
    """Return the run that must be trained before `run` can start in the folder `work`.

    None if there is no such run, or its weights are there or not needed any more.
    """
    start = plan.run(run).start
    if start is None or start.run is None or has_checkpoints(work):
        return None
    return None if trained_weights(plan, start.run).is_file() else start.run


def fetch_start_files(job: TrainJob) -> None:
    """Fetch and check the files that a new training starts from, once per node.

    Raises UserError if a file cannot be fetched, or is damaged.
    """
    start = job.planned.start
    if start is None:
        for file in pretrained_files(job.planned.experiment.config["model"]):
            _log.info(f"starts from {file.path.name}")
            with show_progress("bytes") as show:
                fetch_pretrained(file, show)
    elif job.start_file:
        fetch_weights(start, job.start_file)


def fetch_weights(start: StartWeights, path: Path) -> None:
    """Download the weights of an address to `path`, unless they are there.

    Raises UserError if the download fails, or the weights are not those of the given SHA-256.
    """
    if not start.url:
        return
    # Imported here: it brings an HTTP client, which most training processes do not need.
    from isnet.data.download import ExpectedFile, HashLockFile, RemoteFile, fetch

    hint = f"Correct {start.key}, or put the file at {path}"
    expected = ExpectedFile(sha256=start.sha256)
    file = RemoteFile(start.url, path, HashLockFile(path.parent), hint, expected)
    with show_progress("bytes") as show:
        fetch(file, show=show)


def continuation_advice(plan: Plan, run: str, work: Path) -> str | None:
    """Return a line for a new training that is only longer than a finished one; else None.

    The training is that of `run` in the folder `work`.
    """
    planned = plan.run(run)
    if planned.start:
        return None
    for file in work.parent.glob("*/train/train.json"):
        done = read_json(file)
        is_shorter = done.get("iterations", 0) < planned.experiment.iterations
        if is_shorter and _without_lengths(done.get("settings", {})) == _without_lengths(
            planned.settings
        ):
            return (
                f"begins anew: the finished training of {done['iterations']} iterations is not "
                f"continued; to start from its weights, write init_from: {file.parent}/weights.pth"
            )
    return None


def _without_lengths(settings: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in settings.items() if not key.startswith(_LENGTHS)}

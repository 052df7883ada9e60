"""`isnet submit`: writes predictions in the format of a benchmark's evaluation server."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from isnet.distributed.gpu_lease import gpu_lease
from isnet.errors import UserError
from isnet.io.console import show_progress
from isnet.pipeline.stage_files import read_manifest, read_train_record
from isnet.settings.dataset_lookup import table_of
from isnet.settings.plan import Plan

if TYPE_CHECKING:
    from isnet.inference.submission import FormatName

_log = logging.getLogger(__name__)


def submit(
    plan: Plan,
    run: str,
    *,
    images: Path | None,
    format: "FormatName",
    output: Path,
    multi_scale: bool,
) -> None:
    """Predict images with a run's weights, in the format of a benchmark's evaluation server.

    `images` is a folder; None means the validation split. `output` is a new zip archive (if its
    name ends with `.zip`) or folder.

    Raises:
        UserError: the run's classes are not those of the benchmark, an image is not named as its
            images are, or `output` exists.
    """
    planned = plan.run(run)
    record = read_train_record(plan, run)
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    from isnet.inference.batch_prediction import predict_files
    from isnet.inference.input_images import ImageFile
    from isnet.inference.predictor import Predictor
    from isnet.inference.submission import Submission, list_images, open_output
    from isnet.pipeline.trained_run import load_run

    submission, dataset = Submission(format), planned.run.dataset
    classes = table_of(plan.params.datasets[dataset]).classes
    submission.check(classes, f"data set {dataset}")
    if output.exists():
        raise UserError("is there already", where=str(output), hint="Remove it, or name another")
    paths = _val_images(plan, dataset) if images is None else list_images(images)
    names = submission.names(paths)
    files = [ImageFile(path, name) for path, name in zip(paths, names, strict=True)]
    with gpu_lease(min(1, planned.run.devices.gpus)):
        trained = load_run(plan, planned)
        protocol = trained.protocol
        settings = protocol.multi_scale if multi_scale else protocol.single_scale
        if settings is None:
            raise UserError("has no evaluation.multi_scale", where=planned.run.config)
        predictor = Predictor(trained.network, settings, trained.dataset["pipeline"], classes)
        with show_progress("images") as progress, open_output(output) as write:
            predicted = predict_files(
                predictor,
                files,
                lambda file, _, prediction: write(file.name, submission.encode(prediction.labels)),
            )
            for done, one in enumerate(predicted, 1):
                if one.error is not None:
                    raise one.error
                progress(done, len(files))
    whose = f"; {record.weights.sentence}" if record.weights else ""
    _log.info(f"{len(files)} predictions are in {output}{whose}")


def _val_images(plan: Plan, dataset: str) -> list[Path]:
    manifest = read_manifest(plan, dataset)
    root = plan.layout.under_data(manifest["image_root"])
    return [root / entry["image"] for entry in manifest["splits"]["val"]]

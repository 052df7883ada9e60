"""`isnet evaluate WEIGHTS --dataset NAME`: scores a weights file without a run of params.yaml."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isnet.distributed.gpu_lease import gpu_lease
from isnet.errors import UserError
from isnet.images.pixel_format import PixelFormat
from isnet.io.atomic_files import digest_of, sha256_of
from isnet.io.exclusive_lock import exclusive
from isnet.machine.gpus import visible_gpus
from isnet.pipeline.evaluate import counting_arguments, write_evaluation
from isnet.pipeline.stage_files import read_manifest
from isnet.records.csv_rows import read_rows
from isnet.records.dataset_records import class_coverage
from isnet.records.run_records import ClassScore, MetricsRecord
from isnet.settings.config_file import load_config
from isnet.settings.experiment import resolve
from isnet.settings.local_modules import import_modules
from isnet.settings.params import Run
from isnet.settings.plan import Plan, scores_key
from isnet.tracking.environment import collect_environment

if TYPE_CHECKING:
    from isnet.checkpoints.weights_formats import WeightsFile

_log = logging.getLogger(__name__)

_FOLDER = Path("evaluations")


def evaluate_by_hand(plan: Plan, weights: Path, dataset: str, config: str | None) -> Path:
    """Score a weights file on the validation split of a data set, as the stage scores a run's.

    Returns the folder of the evaluation's files, `evaluations/WEIGHTS-DATASET-KEY`. They are reused
    for the same weights, data and config, and an interrupted evaluation resumes. `weights` is a
    file of isnet, the authors' code, mmseg, or safetensors. `config` is that of the model; None for
    a file of isnet, which describes it.

    Raises:
        UserError: the file describes no model and there is no config, or it does not fit.
    """
    manifest = read_manifest(plan, dataset)
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    from isnet.checkpoints.weights_formats import open_weights

    opened = open_weights(weights)
    model, origin, names, digest = _describe(opened, dataset, config, manifest)
    key = scores_key(sha256_of(weights), manifest["digest"], digest)
    folder = _FOLDER / f"{weights.stem}-{dataset}-{key[:8]}"
    with exclusive(folder):
        if folder.is_dir():
            _log.info("has nothing to do: these weights are evaluated")
        else:
            gpus = min(1, len(visible_gpus()))
            with gpu_lease(gpus):
                from isnet.inference.given_weights import load_given_weights
                from isnet.pipeline.trained_run import prepare_run

                given = load_given_weights(opened, str(weights), model, origin, manifest)
                _log.info(given.record.sentence)
                run = prepare_run(plan, dataset, model, given.network, gpu=bool(gpus))
                identity = {
                    "run": "",
                    "dataset": dataset,
                    "weights_sha256": given.record.sha256,
                    "weights": given.record,
                    "manifest_digest": manifest["digest"],
                    "split": "val",
                    **names,
                    "environment": collect_environment(),
                }
                write_evaluation(counting_arguments(run, folder, key), folder, identity)
    return folder


def _describe(
    weights: "WeightsFile", dataset: str, config: str | None, manifest: dict[str, Any]
) -> tuple[dict[str, Any], str, dict[str, str], str]:
    """Return what an evaluation reads of `config`, or of the weights file's own description.

    This is that part, its name in errors, the names of method and backbone, and a hash with the
    imported modules.
    """
    from isnet.inference.given_weights import with_own_statistics

    if config is not None:
        run = Run(dataset=dataset, config=config, weights=str(weights.path))
        cache = {config: load_config(config, "--config")}
        pixel_format = PixelFormat.of(with_own_statistics(manifest, weights))
        classes, channels = len(manifest["classes"]), pixel_format.channels
        experiment = resolve("--config", run, cache, classes=classes, channels=channels)
        experiment = experiment.with_statistics(pixel_format.bands)
        import_modules(experiment.imports, experiment.folder)
        names = {"method": experiment.method, "backbone": experiment.backbone}
        digest = experiment.model_digest + experiment.evaluate_digest
        return experiment.evaluated_config, config, names, digest
    from isnet.checkpoints.weights_metadata import WeightsMetadata

    if "isnet" not in weights.meta:
        raise UserError(
            "does not describe its model, as files of isnet do",
            where=str(weights.path),
            hint="Name its config: --config isnet/configs/NAME.py, or mmseg::PATH",
        )
    metadata = WeightsMetadata.from_meta(weights.meta, str(weights.path))
    names = {key: str(metadata.provenance.get(key, "")) for key in ("method", "backbone")}
    found = metadata.as_config()
    return found, "its own description", names, digest_of(found)


def print_evaluation(folder: Path) -> None:
    """Print the scores of an evaluation by hand as a table, and where its files are."""
    from rich.console import Console
    from rich.table import Table

    from isnet.reporting.page_templates import percent
    from isnet.reporting.score_charts import score_labels

    metrics = MetricsRecord.read(folder / "metrics.json")
    classes = read_rows(folder / "per_class.csv", ClassScore)
    single, multi = metrics.single_scale, metrics.multi_scale_flip
    unit = f"percent{class_coverage([score.pixels for score in classes])}"
    table = Table(unit, header_style="bold")
    for column in ("single scale", *(["ms + flip"] if multi else [])):
        table.add_column(column, justify="right")
    for key, label in score_labels(metrics).items():
        values = [single, *([multi] if multi else [])]
        table.add_row(label, *(percent(getattr(means, key, None), 2) for means in values))
    Console().print(table)
    _log.info(f"the evaluation is in {folder}")

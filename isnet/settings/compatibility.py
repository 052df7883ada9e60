"""Checks that a run's config, data set and settings fit together, before anything runs."""

from isnet.data.catalog import LabelTable
from isnet.errors import UserError
from isnet.settings.experiment import Experiment, divide_batch
from isnet.settings.params import Run

_DEVICE_TRANSFORMS = (
    *("SamplePhotometricDistortion", "PackCropInputs"),
    *("DrawColours", "PackWindow"),  # their former names, until 0.2
)
"""Transforms whose work `DevicePreProcessor` completes on the model's device."""

_AUTOCAST_WRAPPERS = (
    *("OptimWrapper", "AmpOptimWrapper"),
    *("GuardedOptimWrapper", "BFloat16OptimWrapper", "Float16OptimWrapper"),
)
"""Optimizer wrappers that the trainer replaces by the one for the run's precision."""


def check_run(name: str, run: Run, experiment: Experiment, table: LabelTable) -> None:
    """Refuse a run that would fail or train something else than it states.

    Args:
        name: the run's name in params.yaml.
        run: the run as written.
        experiment: its resolved config.
        table: the classes of its data set.

    Raises:
        UserError: naming the setting and how to change it.
    """
    where = f"params.yaml: runs.{name}"
    _check_classes(run, experiment, table, where)
    _check_batch(run, experiment, where)
    _check_precision(run, experiment, where)
    _check_preprocessor(run, experiment, where)
    _check_flip(run, experiment, table, where)


def _check_classes(run: Run, experiment: Experiment, table: LabelTable, where: str) -> None:
    classes = len(table.classes)
    if experiment.num_classes != classes:
        raise UserError(
            f"{run.config} predicts {experiment.num_classes} classes, "
            f"data set {run.dataset} has {classes}",
            where=where,
            hint="Choose a config for this data set, or override num_classes of each head",
        )


def _check_batch(run: Run, experiment: Experiment, where: str) -> None:
    try:
        divide_batch(experiment.global_batch, experiment.per_device_batch, run.devices)
    except ValueError as error:
        raise UserError(
            str(error), where=f"{where}.devices", hint="Change devices or the config"
        ) from None


def _check_precision(run: Run, experiment: Experiment, where: str) -> None:
    precision = run.precision
    if precision in ("tf32", "fp16") and run.devices.kind == "cpu":
        raise UserError(
            f"{precision} needs a GPU, and devices is {run.devices}",
            where=f"{where}.precision",
            hint="Write bf16 or float32",
        )
    wrapper = experiment.config.get("optim_wrapper", {}).get("type", "OptimWrapper")
    if precision in ("bf16", "fp16") and wrapper not in _AUTOCAST_WRAPPERS:
        raise UserError(
            f"{run.config} has the optimizer wrapper {wrapper}, which does not support {precision}",
            where=f"{where}.precision",
            hint="Write float32, or choose a config with OptimWrapper",
        )


def _check_preprocessor(run: Run, experiment: Experiment, where: str) -> None:
    config = experiment.config
    preprocessor = config["model"].get("data_preprocessor") or config.get("data_preprocessor") or {}
    for name in _DEVICE_TRANSFORMS:
        if name in experiment.train_transforms and preprocessor.get("type") != "DevicePreProcessor":
            raise UserError(
                f"{name} needs model.data_preprocessor.type DevicePreProcessor, "
                f"and {run.config} has {preprocessor.get('type')}",
                where=f"{where}.config",
                hint="Change the one or the other",
            )


def _check_flip(run: Run, experiment: Experiment, table: LabelTable, where: str) -> None:
    """Refuse a mirror that leaves classes of the left and right side unswapped."""
    flip = experiment.train_transforms.get("RandomFlip")
    if table.flip_pairs and flip is not None and not flip.get("swap_seg_labels"):
        raise UserError(
            f"{run.config} mirrors images without swapping the left and right classes of data set "
            f"{run.dataset}",
            where=f"{where}.config",
            hint=f"Give its RandomFlip swap_seg_labels={table.flip_pairs}, or use LoadRandomCrop",
        )

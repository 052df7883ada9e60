"""Checks that the config, the data set and the settings of a run are compatible."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from isnet.data.catalog import LabelTable
from isnet.errors import UserError
from isnet.settings.experiment import Experiment
from isnet.settings.params import Run, flatten
from isnet.settings.planned_run import divide_batch

_DEVICE_TRANSFORMS = (
    *("SamplePhotometricDistortion", "PackCropInputs"),
    *("DrawColours", "PackWindow"),  # their former names, until 0.2
)
"""Transforms that need `DevicePreProcessor`, which completes their work on the model's device."""

_AUTOCAST_WRAPPERS = (
    *("OptimWrapper", "AmpOptimWrapper"),
    *("GuardedOptimWrapper", "BFloat16OptimWrapper", "Float16OptimWrapper"),
)
"""Optimizer wrappers that the trainer replaces with the wrapper for the run's precision."""

_PRECISIONS = {"cpu": ("bf16", "float32"), "mps": ("float32",)}
"""The precisions of devices that do not have all of them."""

_HALF = {"float16": "fp16", "bfloat16": "bf16"}
"""A run's precision by the `dtype` of mmengine's AmpOptimWrapper."""

_HOOKS = {
    "CheckpointHook": "Override default_hooks.checkpoint.interval",
    "EMAHook": "Write ema: 0.999 in the run",
    "LoggerHook": "Override default_hooks.logger.interval",
    "SegVisualizationHook": "Remove it: the report shows predictions",
}
"""Hooks of mmengine and mmseg whose work the pipeline does, and what to write instead."""

_HEAD_CLASSES = re.compile(r"model\.(decode|auxiliary)_head(\.\d+)?\.num_classes")

_OF_TRAINING = (
    *("seed", "precision", "channels_last", "compile", "deterministic", "ema", "best"),
    "init_from",
)
"""Keys of a run that decide nothing but its training."""

_READ = (
    *("model", "data_preprocessor", "test_dataloader", "val_dataloader", "evaluation"),
    *("method", "backbone_name", "custom_imports"),
)
"""Keys of a config that an evaluation reads."""

_UNREAD_IN_MODEL = {"init_cfg", "loss_decode", "pretrained", "sampler", "train_cfg"}

_Problem = tuple[str, str, str]
"""An incompatibility: the run's key at fault (empty for the whole run), the message and a hint."""


def check_run(name: str, run: Run, experiment: Experiment, table: LabelTable) -> None:
    """Raise UserError if a run's config, data set and settings are incompatible.

    Such a run would fail, or would train something else than its settings state. The message names
    the setting and how to change it. Of a run that scores given weights, the settings of its
    config's training do not matter.
    """
    of_training = (_batch_problems, _precision_problems, _transform_problems, _hook_problems)
    for problems in (_class_problems, *(of_training if run.weights is None else ())):
        for key, what, hint in problems(run, experiment, table):
            where = ".".join(filter(None, ("params.yaml: runs", name, key)))
            raise UserError(what, where=where, hint=hint)


def _class_problems(run: Run, experiment: Experiment, table: LabelTable) -> Iterator[_Problem]:
    classes = len(table.classes)
    wanted = f"data set {run.dataset} has {classes}"
    for key, value in flatten(run.overrides).items():
        if _HEAD_CLASSES.fullmatch(key) and value != classes:
            what = f"{key} predicts {value} classes, {wanted}"
            yield "overrides", what, "Remove it: the number follows from the data set"
    if experiment.num_classes != classes:
        what = f"{run.config} predicts {experiment.num_classes} classes, {wanted}"
        yield "", what, "Remove num_classes from the overrides"
    if run.weights is not None:  # no loss is computed
        return
    for weights in _class_weights(experiment.config["model"]["decode_head"]):
        if len(weights) not in (classes, classes + 1):  # some heads have one for "no object"
            what = f"class_weight of a loss has {len(weights)} numbers, {wanted} classes"
            yield "config", what, "Override it with as many (one more if it has one for no object)"


def _class_weights(node: Any) -> Iterator[Sequence[float]]:
    """Yield the lists of class weights in a part of a config."""
    if isinstance(node, list):
        yield from (found for part in node for found in _class_weights(part))
    elif isinstance(node, dict):
        if isinstance(weights := node.get("class_weight"), list | tuple):
            yield weights
        yield from _class_weights(list(node.values()))


def _batch_problems(run: Run, experiment: Experiment, table: LabelTable) -> Iterator[_Problem]:
    accumulated = experiment.config["optim_wrapper"].get("accumulative_counts", 1)
    if experiment.config.get("auto_scale_lr", {}).get("base_batch_size") and accumulated != 1:
        what = "optim_wrapper.accumulative_counts has no effect: auto_scale_lr states the batch"
        yield "config", what, f"Multiply auto_scale_lr.base_batch_size by {accumulated} instead"
    try:
        divide_batch(experiment.global_batch, experiment.per_device_batch, run.devices)
    except ValueError as error:
        yield "devices", str(error), "Change devices or the config"


def _precision_problems(run: Run, experiment: Experiment, table: LabelTable) -> Iterator[_Problem]:
    precision = run.precision
    usable = _PRECISIONS.get(run.devices.kind, (precision,))
    if precision not in usable:
        what = f"{precision} is not possible with devices: {run.devices}"
        yield "precision", what, f"Write {' or '.join(usable)}"
    settings = experiment.config.get("optim_wrapper", {})
    wrapper = settings.get("type", "OptimWrapper")
    if wrapper not in _AUTOCAST_WRAPPERS:
        if precision in ("bf16", "fp16"):
            what = (
                f"{run.config} has the optimizer wrapper {wrapper}, which does not support "
                f"{precision}"
            )
            yield "precision", what, "Write float32, or choose a config with OptimWrapper"
        return
    meant = _HALF.get(str(settings.get("dtype")), precision)
    if wrapper == "AmpOptimWrapper" and meant not in _HALF.values():
        meant = "fp16"
    if meant != precision:
        what = f"optim_wrapper asks for {meant}, and the run's precision is {precision}"
        yield "precision", what, f"Write precision: {meant} in the run, or change optim_wrapper"
    unread = settings.keys() & ({"use_fsdp"} if precision == "fp16" else {"use_fsdp", "loss_scale"})
    for key in sorted(unread):
        what = f"optim_wrapper.{key} has no effect with precision: {precision}"
        yield "config", what, "Remove it"


def _transform_problems(run: Run, experiment: Experiment, table: LabelTable) -> Iterator[_Problem]:
    config = experiment.config
    preprocessor = config["model"].get("data_preprocessor") or config.get("data_preprocessor") or {}
    for name in _DEVICE_TRANSFORMS:
        if name in experiment.train_transforms and preprocessor.get("type") != "DevicePreProcessor":
            what = (
                f"{name} needs model.data_preprocessor.type DevicePreProcessor, "
                f"and {run.config} has {preprocessor.get('type')}"
            )
            yield "config", what, "Change the one or the other"
    flip = experiment.train_transforms.get("RandomFlip")
    if table.flip_pairs and flip is not None and not flip.get("swap_seg_labels"):
        what = (
            f"{run.config} mirrors images without swapping the left and right classes of data set "
            f"{run.dataset}"
        )
        hint = f"Give its RandomFlip swap_seg_labels={table.flip_pairs}, or use LoadRandomCrop"
        yield "config", what, hint


def _hook_problems(run: Run, experiment: Experiment, table: LabelTable) -> Iterator[_Problem]:
    for hook in experiment.config.get("custom_hooks") or []:
        if hint := _HOOKS.get(str(hook.get("type")).rpartition(".")[2]):
            yield "config", f"the pipeline does the work of {hook['type']} in custom_hooks", hint


def check_scored_run(name: str, run: Run) -> None:
    """Check a run with `weights`; any other run is left alone.

    Raises UserError if a key or override of the run would have no effect.
    """
    if run.weights is None:
        return
    given = [key for key in _OF_TRAINING if key in run.model_fields_set]
    for path in flatten(run.overrides):
        first, *below = path.split(".")
        if first not in _READ or (first == "model" and _UNREAD_IN_MODEL & set(below)):
            given.append(f"overrides.{path}")
    if run.devices.nodes > 1:
        raise UserError(
            f"{run.devices} would have no effect: an evaluation runs on one machine",
            where=f"params.yaml: runs.{name}.devices",
            hint=f"Write devices: {str(run.devices).partition('x')[2]}",
        )
    if given:
        raise UserError(
            "would have no effect: the run scores given weights and trains nothing",
            where=f"params.yaml: runs.{name}.{given[0]}",
            hint="Remove it, or replace weights by init_from to train from them",
        )

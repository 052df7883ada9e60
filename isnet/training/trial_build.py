"""Builds what a config names without training, so that an error in it is found before."""

import contextlib
import copy
import re
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmseg.registry import MODELS, TRANSFORMS
from torch import nn

from isnet.errors import UserError
from isnet.extras import install_command
from isnet.inference.model_config import deployed_model
from isnet.io.message_text import one_line
from isnet.io.spelling import suggest
from isnet.metrics.mmseg_metric import ConfusionMetric
from isnet.settings.config_file import innermost_dataset
from isnet.settings.local_modules import import_modules
from isnet.settings.planned_run import PlannedRun
from isnet.training.hooks.custom_hooks import CustomHooks
from isnet.training.optim_wrappers import optimizer_wrapper

_MODULE_SETTINGS = ("lr_mult", "decay_mult")
"""What mmengine reads of a module in `paramwise_cfg.custom_keys`."""

_PARAMWISE = (
    *("custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "dwconv_decay_mult"),
    *("flat_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate"),
)
"""What mmengine reads of `paramwise_cfg`."""


def build_all(planned: PlannedRun) -> None:
    """Build model, optimizer, schedules, hooks and transforms of a run, and drop them.

    Of a run that trains nothing, only the model and the transforms of its evaluation are built.
    Raises UserError if a type or an argument is unknown, or a setting would have no effect.
    """
    experiment = planned.experiment
    config, where = experiment.config, f"params.yaml: runs.{planned.name}"
    MMLogger.get_instance("trial build", log_level="ERROR")  # it lists each parameter
    import_modules(experiment.imports, experiment.folder)
    with errors_at(f"{where}: model"):
        model = build_without_memory(deployed_model(config))
    if not planned.is_scored_only:
        _build_training(planned, model, where)
    loaders = ("test_dataloader", "val_dataloader", "train_dataloader")
    for name in loaders[: 2 if planned.is_scored_only else 3]:
        if name in config:
            for step in innermost_dataset(config[name]["dataset"])["pipeline"]:
                with errors_at(f"{where}: {name}: pipeline {step.get('type')}"):
                    TRANSFORMS.build(copy.deepcopy(step))


def _build_training(planned: PlannedRun, model: nn.Module, where: str) -> None:
    config = planned.experiment.config
    with errors_at(f"{where}: optim_wrapper"):
        settings = optimizer_wrapper(copy.deepcopy(config["optim_wrapper"]), "float32")
        _check_paramwise(settings, model, planned, f"{where}: optim_wrapper.paramwise_cfg")
        wrapper = build_optim_wrapper(model, settings)
        if wrapper.clip_grad_kwargs:
            wrapper.clip_func([], **wrapper.clip_grad_kwargs)
    schedules = config.get("param_scheduler") or []
    for schedule in schedules if isinstance(schedules, list | tuple) else [schedules]:
        with errors_at(f"{where}: param_scheduler {schedule.get('type')}"):
            settings = {"end": planned.experiment.iterations, **copy.deepcopy(schedule)}
            default = {"optimizer": wrapper, "epoch_length": 1}
            PARAM_SCHEDULERS.build(settings, default_args=default)
    for hook in config.get("custom_hooks") or []:
        with errors_at(f"{where}: custom_hooks"):
            _check_monitor(CustomHooks([hook]).hooks[0], where)


def build_without_memory(settings: dict[str, Any]) -> nn.Module:
    """Build a model without memory for its weights, where its constructor allows that."""
    try:
        with torch.device("meta"):
            model: nn.Module = MODELS.build(copy.deepcopy(settings))
    except RuntimeError as error:
        if "meta tensor" not in str(error):
            raise
        model = MODELS.build(settings)
    return model


def _check_paramwise(
    settings: dict[str, Any], model: nn.Module, planned: PlannedRun, where: str
) -> None:
    """Raise UserError for settings of `paramwise_cfg` that mmengine's constructor would ignore.

    Names of parameters that the model lacks are accepted in mmseg's own configs, which keep those
    of other networks.
    """
    if "constructor" in settings:
        return  # it has rules of its own
    paramwise = settings.get("paramwise_cfg") or {}
    for key in paramwise:
        if key not in _PARAMWISE:
            hint = suggest(key, _PARAMWISE, "Known are")
            raise UserError("nothing reads this key", where=f"{where}.{key}", hint=hint)
    names = [name for name, _ in model.named_parameters()]
    for key, value in (paramwise.get("custom_keys") or {}).items():
        place = f"{where}.custom_keys.{key}"
        unknown = [str(value)]
        if isinstance(value, dict):
            unknown = [name for name in value if name not in _MODULE_SETTINGS]
        if unknown:
            dotted = f"{key}.{unknown[0]}"
            is_module = any(dotted in name for name in names)
            hint = f"Write {dotted!r}: {{...}}" if is_module else "Write lr_mult or decay_mult"
            raise UserError(f"has no setting {unknown[0]!r}", where=place, hint=hint)
        if not any(key in name for name in names) and not _is_from_mmseg(key, planned):
            modules = ", ".join(sorted({name.partition(".")[0] for name in names}))
            raise UserError("no parameter has this name", where=place, hint=f"It has {modules}")


def _is_from_mmseg(key: str, planned: PlannedRun) -> bool:
    """Return whether a name in `custom_keys` is of mmseg's own config, and not of the overrides."""
    written = planned.run.overrides.get("optim_wrapper", {}).get("paramwise_cfg", {})
    return planned.run.config.startswith("mmseg::") and key not in written.get("custom_keys", {})


def _check_monitor(hook: Hook, where: str) -> None:
    """Raise UserError for a metric that mmengine's EarlyStoppingHook would wait for in vain."""
    known = ConfusionMetric.scores
    if isinstance(hook, EarlyStoppingHook) and hook.monitor not in known:
        raise UserError(
            f"EarlyStoppingHook monitors {hook.monitor!r}, which no validation has",
            where=f"{where}: custom_hooks",
            hint=suggest(hook.monitor, known, "It has"),
        )


@contextlib.contextmanager
def errors_at(where: str, kinds: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
    """Convert an error of a registry or constructor to a UserError that names the place `where`.

    Only errors of the given `kinds` are converted.
    """
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        if isinstance(error, KeyError):  # whose text is quoted
            text = str(error.args[0]).partition(". Please check whether")[0]
        elif str(error) == "None is not a callable object":  # what mmengine has in place of a type
            text = "the package that has this type is not installed"
        else:
            text = ": ".join(filter(None, [type(error).__name__, str(error)]))
        text = one_line(text, 1000)
        missing = re.search(r"No module named '(\w+)'", text)
        hint = "Install it" if isinstance(error, ImportError) else "Correct it"
        if missing:
            hint = f"Run {install_command(missing[1])}"
        if compiled := re.search(r"Please install onedl-mmcv for (\w+) ops", text):
            text = f"it needs {compiled[1]}, a compiled operator that this mmcv does not have"
            hint = "Choose another network, or install an mmcv with compiled operators"
        raise UserError(f"cannot be built: {text}", where=where, hint=hint) from error

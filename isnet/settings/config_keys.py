"""What the pipeline does with each key of a config: reads it, or decides it elsewhere.

Every key is one of these: honoured (`HONOURED`); owned by the pipeline (`OWNED`), so that another
value than that of the base configs is refused; a variable of the config file; or unknown, and
refused. docs/reference/config-keys.md is generated from the two tables.
"""

import difflib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from isnet.errors import UserError

HONOURED = {
    "model": "the segmentor: any registered backbone, neck, head, loss and sampler",
    "data_preprocessor": "the preprocessor of a `model` without one",
    "train_dataloader.batch_size": "most images on one device at once",
    "train_dataloader.num_workers": "loader workers per process; fewer where cores are missing",
    "train_dataloader.prefetch_factor": "batches that each worker prepares",
    "train_dataloader.collate_fn": "how samples become a batch",
    "train_dataloader.dataset.pipeline": "transforms of a training sample",
    "val_dataloader.num_workers": "loader workers of validation",
    "val_dataloader.batch_size": "images of a validation step",
    "val_dataloader.dataset.pipeline": "transforms of validation during training",
    "test_dataloader.dataset.pipeline": "transforms of evaluation, which predicts single images",
    "train_cfg.max_iters": "optimizer steps",
    "train_cfg.val_interval": "optimizer steps between validations",
    "train_cfg.val_begin": "the first step that may be validated",
    "optim_wrapper": "optimizer, `paramwise_cfg`, `clip_grad`, `constructor`",
    "optim_wrapper.accumulative_counts": "multiplies the global batch, if the file name states it",
    "param_scheduler": "any registered schedule of learning rate or momentum",
    "auto_scale_lr.base_batch_size": "images per optimizer step over all devices",
    "default_hooks.logger.interval": "optimizer steps between loss records, at most",
    "default_hooks.checkpoint.interval": "optimizer steps between checkpoints, at most",
    "load_from": "a file to start from, as the run's `init_from`",
    "custom_hooks": "hooks that run beside the pipeline's own",
    "custom_imports.imports": "modules to import first: installed ones, or files beside the config",
    "find_unused_parameters": "of DistributedDataParallel: parameters without a gradient",
    "evaluation": "single-scale and multi-scale inference (protocols.md)",
    "method": "the method's name in reports",
    "backbone_name": "the backbone's name in reports",
}
"""Keys that are read, and what for; a nested key is meant with all that is below it."""


@dataclass(frozen=True)
class Owned:
    """A key that the pipeline decides."""

    decided: str  # what decides it instead
    hint: str | None = None  # what to write instead, if anything
    values: tuple[Any, ...] = ()  # those of our and mmseg's configs, accepted in a file: no effect
    any_in_file: bool = False  # a config file may have any value, which mmseg's own tools read


_DATA = Owned("the run's `dataset`", "Write the data set into params.yaml", any_in_file=True)
_LOADER = Owned("the pipeline, for exact resume", values=(True, False))
_MULTI_SCALE = Owned(
    "`evaluation.multi_scale`", "Override evaluation.multi_scale", any_in_file=True
)
_TRAIN_SAMPLER = {"type": "InfiniteSampler", "shuffle": True}
_VAL_SAMPLER = {"type": "DefaultSampler", "shuffle": False}
_VAL_LOADER = Owned("`val_dataloader` and the evaluation", any_in_file=True)
_METRICS = tuple(
    {"type": "IoUMetric", "iou_metrics": list(names)}
    for count in (1, 2, 3)
    for names in itertools.permutations(("mIoU", "mDice", "mFscore"), count)
)
_EVALUATOR = Owned(
    "the pipeline, which computes mIoU, mDice and mFscore",
    "Write best in the run to choose the best weights by another score than mIoU",
    _METRICS,
)
_CURVES = "Write tensorboard: true or wandb: true below tracking in params.yaml"
_HOOK = Owned("the pipeline's own hooks", "Add a hook with custom_hooks", any_in_file=True)

_FORMER = {
    "checkpoint_config": "default_hooks.checkpoint",
    "data": "train_dataloader",
    "dist_params": "devices in the run",
    "log_config": "default_hooks.logger",
    "lr_config": "param_scheduler",
    "optimizer_config": "optim_wrapper",
    "workflow": "train_cfg",
}
"""Keys of mmseg before 1.0, and what replaced them."""

OWNED = {
    "resume": Owned("the pipeline: the same command resumes by itself", None, (False,)),
    "launcher": Owned("the run's `devices`", "Write devices: 4 or 2x4 in the run", ("none",)),
    "gpu_ids": Owned("the run's `devices`", "Write devices: 2 in the run"),
    "fp16": Owned("the run's `precision`", "Write precision: fp16 in the run", any_in_file=True),
    "work_dir": Owned("the pipeline: work/runs/NAME", None, (None,)),
    "experiment_name": Owned("the run's name", None, (None,)),
    "randomness": Owned("the run's `seed`", "Write seed and deterministic in the run", (None, {})),
    "env_cfg": Owned(
        "the pipeline",
        values=(
            {
                "cudnn_benchmark": True,
                "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
                "dist_cfg": {"backend": "nccl"},
            },
        ),
    ),
    "log_processor": Owned("the pipeline's journal", None, ({"by_epoch": False},)),
    "log_level": Owned("the pipeline", None, ("INFO",)),
    "default_scope": Owned("the pipeline", None, ("mmseg",)),
    "visualizer": Owned(
        "the report and MLflow",
        _CURVES,
        (
            {
                "type": "SegLocalVisualizer",
                "vis_backends": [{"type": "LocalVisBackend"}],
                "name": "visualizer",
            },
        ),
    ),
    "vis_backends": Owned("the report and MLflow", _CURVES, ([{"type": "LocalVisBackend"}],)),
    "sync_bn": Owned("`norm_cfg`", "Write type: SyncBN into each norm_cfg", (None,)),
    "compile": Owned("the run's `compile`", "Write compile: true in the run", (None, False)),
    "model_wrapper_cfg": Owned("the pipeline", "Write find_unused_parameters", (None,)),
    "activation_checkpointing": Owned("nothing", "Write with_cp: true in the backbone", (None,)),
    "efficient_conv_bn_eval": Owned("nothing", None, (None,)),
    "val_cfg": Owned("the pipeline", None, ({"type": "ValLoop"},)),
    "test_cfg": Owned("`evaluation`", "Override evaluation", ({"type": "TestLoop"},)),
    "val_evaluator": _EVALUATOR,
    "test_evaluator": _EVALUATOR,
    "tta_model": _MULTI_SCALE,
    "tta_pipeline": _MULTI_SCALE,
    "img_ratios": _MULTI_SCALE,
    "train_dataloader.persistent_workers": _LOADER,
    "train_dataloader.pin_memory": _LOADER,
    "train_dataloader.drop_last": Owned("the pipeline: samples come without end", None, (True,)),
    "train_dataloader.sampler": Owned("the pipeline, for exact resume", None, (_TRAIN_SAMPLER,)),
    "train_dataloader.worker_init_fn": _LOADER,
    "train_dataloader.dataset": _DATA,
    "val_dataloader.persistent_workers": _LOADER,
    "val_dataloader.sampler": Owned("the pipeline", None, (_VAL_SAMPLER,)),
    "val_dataloader.dataset": _DATA,
    "test_dataloader.dataset": _DATA,
    "test_dataloader": _VAL_LOADER,
    "train_cfg.type": Owned("the pipeline: it counts iterations", None, ("IterBasedTrainLoop",)),
    "auto_scale_lr.enable": Owned("the pipeline: the global batch stays", None, (False,)),
    "default_hooks": _HOOK,
    "default_hooks.checkpoint": Owned(
        "the pipeline, which keeps the newest checkpoints and the best weights", any_in_file=True
    ),
    "default_hooks.checkpoint.save_best": Owned(
        "the run's `best`", "Write best: mDice in the run", any_in_file=True
    ),
    "custom_imports.allow_failed_imports": Owned("the pipeline", None, (False,)),
    **{name: Owned(f"`{now}`", f"Write {now}") for name, now in _FORMER.items()},
}
"""Keys that the pipeline decides; the deepest entry above a key is meant."""

_VARIABLES = (
    "checkpoint_file",
    "img_scale",
    "models",
    "pretrained",
    "runner",
    "test_pipeline",
    "train_pipeline",
)
"""Variables of mmseg's configs whose names are similar to a key."""

_ENTRIES = {**HONOURED, **OWNED}
_MISSING = object()
_NEAR = 0.8


def check_config_file(config: dict[str, Any], where: str, *, seed: int) -> None:
    """Raise UserError if a key of a config file would have no effect.

    `config` is as read from the file, before overrides. The file may state the `seed` of the run.
    The message names the place `where`, the key, and what to write instead.
    """
    for path, value, owned in _walk(config):
        if owned is None:
            _refuse_unknown(path, where, is_file=True)
        elif path == ("randomness",) and value == {"seed": seed}:
            continue
        elif not owned.any_in_file and not any(_equal(value, known) for known in owned.values):
            raise _refusal(path, owned, where)


def check_overrides(config: dict[str, Any], overrides: dict[str, Any], where: str) -> None:
    """Raise UserError if an override of a run would have no effect.

    `config` is the one before the overrides. The message names the place `where`, the key, and what
    to write instead.
    """
    for path, value, owned in _walk(overrides):
        if owned is None:
            _refuse_unread(config, path, where)
        for leaf, wanted in _leaves(value, path):
            if owned and not _equal(_value_at(config, leaf), wanted):
                raise _refusal(leaf, owned, where)
    _refuse_unread_model_settings(config, overrides, where)


def _refuse_unread(config: dict[str, Any], path: tuple[str, ...], where: str) -> None:
    """Raise UserError for an override of a key that is in neither table."""
    name = path[0]
    if name in config and not _is_known(name):
        uses = [".".join(use) for use in _uses(config, config[name])]
        raise UserError(
            "is a variable of the config file, used before overrides apply",
            where=f"{where}.{name}",
            hint=f"Override {uses[0]}" if uses else "Override the key that it decides",
        )
    _refuse_unknown(path, where, is_file=False)


def _refuse_unread_model_settings(
    config: dict[str, Any], overrides: dict[str, Any], where: str
) -> None:
    """Raise UserError for overrides of model settings in a place that is not read.

    These are `model.test_cfg` beside `evaluation`, and `data_preprocessor` beside the model's.
    """
    model = overrides.get("model")
    if isinstance(model, dict) and "test_cfg" in model and "evaluation" in config:
        owned = Owned("`evaluation`", "Override evaluation.single_scale")
        raise _refusal(("model", "test_cfg"), owned, where)
    if "data_preprocessor" in overrides and config["model"].get("data_preprocessor"):
        owned = Owned("`model.data_preprocessor`", "Override model.data_preprocessor")
        raise _refusal(("data_preprocessor",), owned, where)


def _walk(
    node: dict[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Owned | None]]:
    """Yield keys that are not honoured, with their values and what decides them instead, or None.

    Each key is given at the depth at which the tables decide.
    """
    for key, value in node.items():
        path = (*above, str(key))
        name = ".".join(path)
        if isinstance(value, dict) and any(entry.startswith(f"{name}.") for entry in _ENTRIES):
            yield from _walk(value, path)
            continue
        names = (".".join(path[:length]) for length in range(len(path), 0, -1))
        deepest = next((entry for entry in names if entry in _ENTRIES), name)
        if deepest not in HONOURED:
            yield path, value, OWNED.get(deepest)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the values below a key that are no mapping."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, (*path, str(key)))


def _refusal(path: tuple[str, ...], owned: Owned, where: str) -> UserError:
    return UserError(
        f"would have no effect: decided by {owned.decided}",
        where=f"{where}.{'.'.join(path)}",
        hint=owned.hint or "Remove it",
    )


def _is_known(name: str) -> bool:
    return any(entry.partition(".")[0] == name for entry in _ENTRIES)


def _refuse_unknown(path: tuple[str, ...], where: str, *, is_file: bool) -> None:
    """Raise UserError for a key that nothing reads.

    A config file may have variables of any other name, unless it is similar to that of a key.
    """
    *above, name = path
    prefix = "".join(f"{part}." for part in above)
    entries = [entry for entry in _ENTRIES if entry.startswith(prefix)]
    names = sorted({entry.removeprefix(prefix).partition(".")[0] for entry in entries})
    near = difflib.get_close_matches(name, names, n=1, cutoff=_NEAR)
    if is_file and not above and (name in _VARIABLES or not near):
        return
    hint = f"Known are {', '.join(names)}" if above else "docs/reference/config-keys.md has all"
    hint = f"Did you mean {near[0]!r}?" if near else hint
    raise UserError("nothing reads this key", where=f"{where}.{'.'.join(path)}", hint=hint)


def _uses(node: Any, wanted: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the places of a value in a config, variables left out."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in pairs:
        path = (*above, str(key))
        if not above and not _is_known(str(key)):
            continue
        if type(value) is type(wanted) and value == wanted:
            yield path
        elif isinstance(value, dict | list | tuple):
            yield from _uses(value, wanted, path)


def _value_at(node: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(node, dict) or key not in node:
            return _MISSING
        node = node[key]
    return node


def _equal(value: Any, known: Any) -> bool:
    """Whether two config values are the same, whatever kind of sequence they hold."""
    if isinstance(value, dict) and isinstance(known, dict):
        return value.keys() == known.keys() and all(_equal(value[key], known[key]) for key in known)
    if isinstance(value, list | tuple) and isinstance(known, list | tuple):
        return len(value) == len(known) and all(map(_equal, value, known))
    return bool(type(value) is type(known) and value == known)

"""Resolves the config file and overrides of a run to an `Experiment`, without importing torch."""

import copy
import difflib
import importlib.util
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.io.atomic_files import digest_of
from isnet.settings.params import Devices, Run

_EVALUATION_KEYS = (
    *("evaluation", "img_ratios", "test_cfg", "test_dataloader", "test_evaluator"),
    *("test_pipeline", "tta_model", "tta_pipeline"),
)
"""Config keys that only the evaluation reads. A change in them does not repeat the training."""

_CROPS = ("RandomCrop", "LoadRandomCrop", "RandomWindow")
"""Names of the transforms that have a `crop_size`."""


@dataclass(frozen=True)
class Experiment:
    """The resolved config of a run, and the values that other packages need from it.

    Attributes:
        config: the whole config as plain mappings and lists.
        iterations: number of optimizer steps.
        global_batch: images per optimizer step, over all devices.
        per_device_batch: images that the config puts on one device at once.
        num_classes: number of classes of the decode head.
        loader_workers: number of data loader workers per process.
        crop: size `(height, width)` of the training crops; None for whole images.
        method, backbone: names of the method and its backbone for reports.
    """

    config: dict[str, Any]
    iterations: int
    global_batch: int
    per_device_batch: int
    num_classes: int
    loader_workers: int
    crop: tuple[int, int] | None
    method: str
    backbone: str

    @property
    def train_transforms(self) -> dict[str, dict[str, Any]]:
        """The transforms of the training pipeline, by their type."""
        steps = self.config["train_dataloader"]["dataset"].get("pipeline", [])
        return {step["type"]: step for step in steps}

    @cached_property
    def train_digest(self) -> str:
        """Hash of the config keys that training reads."""
        return self._digest(key for key in self.config if key not in _EVALUATION_KEYS)

    @cached_property
    def evaluate_digest(self) -> str:
        """Hash of the config keys that only evaluation reads."""
        return self._digest(key for key in self.config if key in _EVALUATION_KEYS)

    def _digest(self, keys: Iterable[str]) -> str:
        # Configs may contain tuples, sets and classes.
        text = json.dumps({key: self.config[key] for key in keys}, default=repr, sort_keys=True)
        return digest_of(json.loads(text))


@dataclass(frozen=True)
class Batch:
    """Division of a global batch into `processes` x `per_process` x `accumulation` images."""

    processes: int
    per_process: int
    accumulation: int


def divide_batch(global_batch: int, per_device: int, devices: Devices) -> Batch:
    """Divide a global batch among the processes of a run, with gradient accumulation if needed.

    With accumulation, BatchNorm statistics are those of one micro-batch (over all processes under
    SyncBN), not of the global batch.

    Args:
        global_batch: number of images per optimizer step.
        per_device: maximum number of images in one forward pass of a process.
        devices: the devices of the run.

    Raises:
        ValueError: the number of processes does not divide the global batch.
    """
    processes = devices.processes
    if global_batch % processes:
        fitting = [n for n in range(1, global_batch + 1) if global_batch % n == 0]
        raise ValueError(
            f"the global batch {global_batch} does not divide among {processes} processes; "
            f"use one of {', '.join(map(str, fitting))}"
        )
    share = global_batch // processes
    micro = max(size for size in range(1, min(per_device, share) + 1) if share % size == 0)
    return Batch(processes, micro, share // micro)


def resolve(name: str, run: Run, cache: dict[str, dict[str, Any]] | None = None) -> Experiment:
    """Read the config of a run, apply the run's overrides and check the result.

    The model is not built.

    Args:
        name: name of the run, for error messages.
        run: the run.
        cache: the configs read so far, by path; this function adds to them. Runs often share one.

    Raises:
        UserError: the config is missing or broken, an override names no key, or a needed key is
            absent.
    """
    where = f"params.yaml: runs.{name}"
    cache = {} if cache is None else cache
    if run.config not in cache:
        cache[run.config] = _load(run.config, where)
    config = copy.deepcopy(cache[run.config])
    _apply(config, run.overrides, f"{where}.overrides")
    try:
        experiment = _experiment_from(config, run.config)
        _refuse_late_schedule(config, experiment.iterations, where)
        return experiment
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the config {run.config} has no usable {error}",
            where=f"{where}.config",
            hint="It must train by iterations and name train_dataloader, train_cfg and model",
        ) from error


def _refuse_late_schedule(config: dict[str, Any], iterations: int, where: str) -> None:
    """Raise UserError if a parameter schedule begins after the last iteration of the training."""
    schedules = config.get("param_scheduler") or []
    for schedule in schedules if isinstance(schedules, list) else [schedules]:
        begin = schedule.get("begin", 0)
        if begin >= iterations:
            raise UserError(
                f"{schedule['type']} of param_scheduler begins at iteration {begin}, "
                f"and training ends at {iterations}",
                where=f"{where}.overrides",
                hint="Raise train_cfg.max_iters, or override param_scheduler",
            )


def _load(path: str, where: str) -> dict[str, Any]:
    file = _config_file(path)
    if not path.startswith(("isnet/configs/", "mmseg::")):
        raise UserError(
            f"{path} is outside isnet/configs, where DVC would miss its changes",
            where=f"{where}.config",
            hint="Put the config there, or name one of mmseg's as mmseg::PATH",
        )
    if not file.is_file():
        near = sorted(Path("isnet/configs").glob("*.py"))
        names = difflib.get_close_matches(file.name, [other.name for other in near], n=1, cutoff=0)
        meant = f"Did you mean isnet/configs/{names[0]}?" if names else "Give a path or mmseg::PATH"
        raise UserError(f"there is no config {path}", where=f"{where}.config", hint=meant)
    return read_config(file, f"{where}.config")


def read_config(file: Path, where: str) -> dict[str, Any]:
    """Read a config file with its base configs, without importing the modules that they name.

    Raises:
        UserError: the file cannot be read.
    """
    from mmengine.config import Config

    try:
        config: dict[str, Any] = Config.fromfile(file, import_custom_modules=False).to_dict()
    except Exception as error:
        raise UserError(
            f"{file.name} cannot be read: {type(error).__name__}: {' '.join(str(error).split())}",
            where=where,
            hint="Correct the config",
        ) from error
    return config


def _config_file(path: str) -> Path:
    """Resolve a config path; `mmseg::fcn/x.py` is a file in the mmseg package.

    mmengine's own resolver looks for the distribution `mmsegmentation`, not `onedl-mmsegmentation`.
    """
    if not path.startswith("mmseg::"):
        return Path(path)
    spec = importlib.util.find_spec("mmseg")
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0] if places else "mmseg") / ".mim/configs" / path.removeprefix("mmseg::")


def _apply(node: Any, overrides: dict[str, Any], where: str) -> None:
    """Apply the overrides of a run to a config in place.

    The parent of each key must exist. A new key similar to an existing one is refused as a typing
    error. A mapping cannot replace a value other than None (`clip_grad: {max_norm: 1}`).
    """
    for key, value in overrides.items():
        here = f"{where}.{key}"
        step: Any = _step(node, key, here, is_leaf=not isinstance(value, dict))
        old = node[step] if isinstance(node, list) else node.get(step)
        is_mapping = isinstance(value, dict) and value
        if is_mapping and isinstance(old, dict | list):
            _apply(old, value, here)
        elif is_mapping and old is not None:
            raise UserError(f"replaces {old!r} by a mapping", where=here, hint="Write a value")
        elif isinstance(old, int | float) and isinstance(value, str):
            raise UserError(
                f"replaces {old!r} by the text {value!r}",
                where=here,
                hint="Write true or false" if isinstance(old, bool) else "Write a number",
            )
        else:
            # YAML has no tuples, and some of mmseg's transforms accept only tuples.
            node[step] = tuple(value) if isinstance(old, tuple) else value


def _step(node: Any, key: str, where: str, *, is_leaf: bool) -> str | int:
    """Return `key` checked as a key of a mapping, or converted to an index of a list."""
    if isinstance(node, dict):
        near = difflib.get_close_matches(key, list(node), n=1, cutoff=0.75)
        if key not in node and (near or not is_leaf):
            hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(map(str, node))}"
            raise UserError("the config has no such key", where=where, hint=hint)
        return key
    if key.isdigit() and int(key) < len(node):
        return int(key)
    raise UserError(
        f"the config has a list of {len(node)} here",
        where=where,
        hint=f"Name an element by its number, 0 to {len(node) - 1}, or write a whole list",
    )


def _experiment_from(config: dict[str, Any], path: str) -> Experiment:
    model, loader = config["model"], config["train_dataloader"]
    head, backbone = model["decode_head"], model["backbone"]
    stem, per_device = Path(path).stem, int(loader["batch_size"])
    stated = config.get("auto_scale_lr", {}).get("base_batch_size")
    in_name = re.search(r"(\d+)xb(\d+)", stem)  # such as `4xb2`
    named = int(in_name[1]) * int(in_name[2]) if in_name else per_device
    steps = loader["dataset"].get("pipeline", [])
    crop = next((step["crop_size"] for step in steps if step["type"] in _CROPS), None)
    return Experiment(
        config=config,
        iterations=int(config["train_cfg"]["max_iters"]),
        global_batch=int(stated or named),
        per_device_batch=per_device,
        num_classes=int((head[-1] if isinstance(head, list) else head)["num_classes"]),
        loader_workers=int(loader.get("num_workers", 0)),
        crop=(int(crop[0]), int(crop[1])) if crop else None,
        method=config.get("method", stem.split("_")[0]),
        backbone=config.get("backbone_name", f"{backbone['type']}-{backbone.get('depth', '')}"),
    )

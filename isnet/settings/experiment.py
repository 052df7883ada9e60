"""Resolves the config file and overrides of a run to an `Experiment`, without importing torch."""

import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.images.pixel_format import COLOURS, Bands
from isnet.io.atomic_files import digest_of, sha256_of
from isnet.settings.channels import (
    check_channels,
    refuse_statistics,
    set_channels,
    set_statistics,
)
from isnet.settings.config_file import config_file, load_config
from isnet.settings.config_keys import check_config_file
from isnet.settings.local_modules import local_files
from isnet.settings.overrides import apply_overrides
from isnet.settings.params import Run
from isnet.settings.pretrained_references import name_timm_weights

_EVALUATION_KEYS = (
    *("evaluation", "img_ratios", "test_cfg", "test_dataloader", "test_evaluator"),
    *("test_pipeline", "tta_model", "tta_pipeline"),
)
"""Config keys that only the evaluation reads. A change in them does not repeat the training."""

_MODEL_KEYS = ("model", "data_preprocessor", "custom_imports", "method", "backbone_name")
"""Config keys that decide the model and its name."""

_CROPS = ("RandomCrop", "LoadRandomCrop", "RandomWindow")
"""Names of the transforms that have a `crop_size`."""


@dataclass(frozen=True)
class Experiment:
    """The resolved config of a run, and the values that other packages need from it."""

    config: dict[str, Any]  # the whole config as plain mappings and lists
    iterations: int  # optimizer steps
    global_batch: int  # images per optimizer step, over all devices
    per_device_batch: int  # images that the config puts on one device at once
    num_classes: int  # of the decode head
    loader_workers: int  # per process
    crop: tuple[int, int] | None  # (height, width) of the training crops; None for whole images
    method: str  # its name in reports
    backbone: str  # its name in reports
    folder: Path  # of the config, searched first for the modules of its `custom_imports`
    modules: dict[str, str]  # SHA-256 of each module file in that folder that the config imports

    @property
    def imports(self) -> list[str]:
        """Modules to import before anything is built."""
        imports = self.config.get("custom_imports", {}).get("imports", [])
        return [imports] if isinstance(imports, str) else list(imports)

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

    @cached_property
    def model_digest(self) -> str:
        """Hash of the config keys that decide the model."""
        return self._digest(key for key in self.config if key in _MODEL_KEYS)

    @property
    def evaluated_config(self) -> dict[str, Any]:
        """The part of the config that an evaluation reads."""
        keys = (*_MODEL_KEYS, *_EVALUATION_KEYS, "default_scope", "val_dataloader")
        return {key: self.config[key] for key in keys if key in self.config}

    def with_statistics(self, bands: Bands | None) -> "Experiment":
        """Return this experiment with the means and deviations that `convert` measured in bands."""
        if bands is None or len(bands.numbers) == COLOURS:
            return self
        config = copy.deepcopy(self.config)
        set_statistics(config, bands.mean, bands.std)
        return replace(self, config=config)

    def _digest(self, keys: Iterable[str]) -> str:
        # Configs may contain tuples, sets and classes.
        text = json.dumps({key: self.config[key] for key in keys}, default=repr, sort_keys=True)
        kept = json.loads(text)
        return digest_of({**kept, "modules": self.modules} if self.modules else kept)


def resolve(
    name: str,
    run: Run,
    cache: dict[str, dict[str, Any]] | None = None,
    *,
    classes: int | None = None,
    channels: int = COLOURS,
) -> Experiment:
    """Read the config of a run, apply the run's overrides and check the result; no model is built.

    `name` is the run's name, for messages. `classes` is the number of classes of the data set,
    which the heads get; None keeps the config's. `channels` is the number of channels of its
    images, which the backbone gets. `cache` has the configs read so far, by path; this function
    adds to them. Raises UserError if the config is missing or broken, an override names no
    key, a needed key is absent, or the config is for another number of channels.
    """
    where = f"params.yaml: runs.{name}"
    cache = {} if cache is None else cache
    if run.config not in cache:
        cache[run.config] = load_config(run.config, f"{where}.config")
    config = copy.deepcopy(cache[run.config])
    check_config_file(config, f"{where}.config", seed=run.seed)
    if classes is not None:
        _set_num_classes(config, classes)
    if channels != COLOURS:
        set_channels(config, channels)
        refuse_statistics(run.overrides, f"{where}.overrides")
    apply_overrides(config, run.overrides, f"{where}.overrides")
    check_channels(config, channels, f"{where}.config")
    try:
        name_timm_weights(config, f"{where}.config")
        experiment = _experiment_from(config, run.config)
        if run.weights is None:
            _check_schedules(config, experiment.iterations, where)
        return experiment
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the config {run.config} has no usable {error}",
            where=f"{where}.config",
            hint="It must train by iterations and name train_dataloader, train_cfg and model",
        ) from error


def _set_num_classes(config: dict[str, Any], classes: int) -> None:
    """Give `classes` classes to each head that has as many as the decode head, in place.

    A head of another task, such as mmseg's edges, keeps its own number.
    """
    model = config.get("model") or {}
    named = [model.get(key) or [] for key in ("auxiliary_head", "decode_head")]
    heads = [head for some in named for head in (some if isinstance(some, list) else [some])]
    old = heads[-1].get("num_classes") if heads else None
    for head in heads:
        if old is not None and head.get("num_classes") == old:
            head["num_classes"] = classes


def _check_schedules(config: dict[str, Any], iterations: int, where: str) -> None:
    """Raise UserError if a schedule has no effect: it counts epochs, or begins after the end."""
    schedules = config.get("param_scheduler") or []
    for schedule in schedules if isinstance(schedules, list) else [schedules]:
        begin = schedule.get("begin", 0)
        if schedule.get("by_epoch", True):
            raise UserError(
                f"{schedule['type']} of param_scheduler counts epochs, and training counts "
                "iterations",
                where=where,
                hint="Write by_epoch: false, and its lengths in iterations",
            )
        if begin >= iterations:
            raise UserError(
                f"{schedule['type']} of param_scheduler begins at iteration {begin}, "
                f"and training ends at {iterations}",
                where=f"{where}.overrides",
                hint="Raise train_cfg.max_iters, or override param_scheduler",
            )


def _experiment_from(config: dict[str, Any], path: str) -> Experiment:
    model, loader = config["model"], config["train_dataloader"]
    head, backbone = model["decode_head"], model["backbone"]
    stem, per_device = Path(path).stem, int(loader["batch_size"])
    stated = config.get("auto_scale_lr", {}).get("base_batch_size")
    in_name = re.search(r"(\d+)xb(\d+)", stem)  # such as `4xb2`
    named = int(in_name[1]) * int(in_name[2]) if in_name else per_device
    accumulated = config["optim_wrapper"].get("accumulative_counts", 1)
    folder = config_file(path).parent
    imports = config.get("custom_imports", {}).get("imports", [])
    imports = [imports] if isinstance(imports, str) else imports
    steps = loader["dataset"].get("pipeline", [])
    crop = next((step["crop_size"] for step in steps if step["type"] in _CROPS), None)
    return Experiment(
        config=config,
        iterations=int(config["train_cfg"]["max_iters"]),
        global_batch=int(stated or named * accumulated),
        per_device_batch=per_device,
        num_classes=int((head[-1] if isinstance(head, list) else head)["num_classes"]),
        loader_workers=int(loader.get("num_workers", 0)),
        crop=(int(crop[0]), int(crop[1])) if crop else None,
        method=config.get("method", stem.split("_")[0]),
        backbone=config.get("backbone_name", f"{backbone['type']}-{backbone.get('depth', '')}"),
        folder=folder,
        modules={str(file): sha256_of(file) for file in local_files(imports, folder)},
    )

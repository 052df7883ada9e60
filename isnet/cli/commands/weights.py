"""The `weights` command: imports and exports checkpoints, downloads ImageNet weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of
from isnet.io.console import show_progress
from isnet.settings.experiment import read_config

if TYPE_CHECKING:
    from torch import Tensor, nn

    from isnet.checkpoints.checkpoint_formats import WeightsFile

_log = logging.getLogger(__name__)


def import_weights(file: Path, config: Path, output: Path, *, ema: bool) -> None:
    """Convert a checkpoint of the official code or of mmseg to a weights file of isnet.

    Args:
        file: the checkpoint, opened without unpickling code.
        config: the config of its model.
        output: the weights file to write, which must not exist.
        ema: use the averaged weights of an official file that has both.

    Raises:
        UserError: the file cannot be opened, or its tensors do not match the model.
    """
    _refuse_existing(output)
    checkpoint = _MatchedCheckpoint.of(file, config, ema=ema)
    source = {"file": file.name, "kind": checkpoint.file.kind, "sha256": sha256_of(file)}
    meta = {
        **checkpoint.known_meta,
        "config": checkpoint.config_text,
        "source": source,
        **checkpoint.description({"config": config.name, "source": source}),
    }
    _save(output, {"state_dict": checkpoint.tensors, "meta": meta})
    print(checkpoint.summary(output))


def export_weights(
    file: Path, config: Path, output: Path, *, target: Literal["official", "mmseg"]
) -> None:
    """Convert a weights file of isnet to a checkpoint of the official code or of mmseg.

    Args:
        file: the weights file.
        config: the config of its model.
        output: the checkpoint to write, which must not exist.
        target: the format of the checkpoint.

    Raises:
        UserError: as for `import_weights`.
    """
    from isnet.checkpoints.official_names import official_name

    _refuse_existing(output)
    checkpoint = _MatchedCheckpoint.of(file, config, ema=False)
    if target == "official":
        tensors = {official_name(name): value for name, value in checkpoint.tensors.items()}
        content: dict[str, Any] = {"model": tensors}
    else:
        content = {"state_dict": checkpoint.tensors, "meta": checkpoint.known_meta}
    _save(output, content)
    print(checkpoint.summary(output))


def fetch_weights(configs: Sequence[Path]) -> None:
    """Download the ImageNet weights of the backbones into torch's cache.

    Args:
        configs: config files; all runs of params.yaml if empty.

    Raises:
        UserError: a file cannot be downloaded, or an existing one is damaged.
    """
    from isnet.checkpoints.pretrained import fetch_pretrained, pretrained_files
    from isnet.settings.params import load_params
    from isnet.settings.plan import Plan

    if configs:
        resolved = [_read_config(config) for config in configs]
    else:
        resolved = [run.experiment.config for run in Plan.of(load_params()).runs.values()]
    files = {file.path: file for config in resolved for file in pretrained_files(config["model"])}
    for file in files.values():
        with show_progress("bytes") as show:
            fetch_pretrained(file, show)
        _log.info(f"{file.reference} is at {file.path}")
    if not files:
        _log.info("nothing to download: no config names ImageNet weights")


@dataclass(frozen=True)
class _MatchedCheckpoint:
    """Tensors of a checkpoint under isnet's names, one for each tensor of a config's model."""

    file: WeightsFile
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    parameters: int

    @classmethod
    def of(cls, path: Path, config: Path, *, ema: bool) -> _MatchedCheckpoint:
        from isnet.checkpoints.checkpoint_formats import open_weights
        from isnet.checkpoints.official_names import official_name
        from isnet.checkpoints.state_dict_check import check_state_dict

        settings = _read_config(config)
        file = open_weights(path, ema=ema)
        model = _build_on_meta(settings, config)
        places = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        official = file.has_official_names
        names = {place: official_name(place) if official else place for place in places}
        check_state_dict(
            {names[place]: shape for place, shape in places.items()},
            {name: tuple(value.shape) for name, value in file.tensors.items()},
            file=path,
            model=str(config),
        )
        tensors = {place: file.tensors[names[place]] for place in places}
        return cls(file, settings, tensors, sum(value.numel() for value in model.parameters()))

    @property
    def config_text(self) -> str:
        """The resolved config as text, as isnet's weights files contain it."""
        from mmengine.config import Config

        text: str = Config(self.config).pretty_text
        return text

    @property
    def known_meta(self) -> dict[str, Any]:
        """Classes and palette under mmseg's key, from the file or from the config's data set.

        Empty if neither has them.
        """
        from mmseg.registry import DATASETS

        from isnet.data.loading.dataset_config import innermost_dataset

        source = innermost_dataset(self.config.get("train_dataloader", {}).get("dataset", {}))
        dataset = DATASETS.get(source["type"]) if "type" in source else None
        for known in (self.file.meta.get("dataset_meta"), getattr(dataset, "METAINFO", None)):
            if not isinstance(known, Mapping):
                continue
            classes, palette = known.get("classes"), known.get("palette")
            if self._fit(classes) and self._fit(palette) and self._fit(palette[0], 3):
                colours = [list(colour) for colour in palette]
                return {"dataset_meta": {"classes": list(classes), "palette": colours}}
        return {}

    def description(self, provenance: dict[str, Any]) -> dict[str, Any]:
        """The metadata of the weights file; empty if its classes have no names."""
        from isnet.checkpoints.weights_metadata import WeightsMetadata
        from isnet.inference.model_config import deployed_model

        known = self.known_meta.get("dataset_meta")
        if known is None:
            return {}
        described = WeightsMetadata.from_config(
            self.config,
            deployed_model(self.config),
            classes=known["classes"],
            palette=known["palette"],
            provenance=provenance,
        )
        return described.as_meta()

    def _fit(self, values: Any, count: int | None = None) -> TypeGuard[Sequence[Any]]:
        """Return whether these are `count` values, by default one for each class."""
        head = self.config["model"]["decode_head"]
        last = head[-1] if isinstance(head, list | tuple) else head
        return isinstance(values, list | tuple) and len(values) == (count or last["num_classes"])

    def summary(self, output: Path) -> str:
        """One line about the checkpoint and the new file."""
        file = self.file
        return (
            f"{file.path}: {file.kind}, {len(self.tensors)} tensors, {self.parameters:,} "
            f"parameters, all matched; written to {output}"
        )


def _build_on_meta(config: dict[str, Any], path: Path) -> nn.Module:
    """Build the model of a config on the meta device, without memory for its tensors."""
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    import torch
    from mmseg.registry import MODELS

    from isnet.inference.model_config import deployed_model

    try:
        with torch.device("meta"):
            model: nn.Module = MODELS.build(deployed_model(config))
    except Exception as error:
        raise UserError(
            f"its model cannot be built: {' '.join(str(error).split())}",
            where=str(path),
            hint="Give one of isnet/configs, or correct the config",
        ) from error
    return model


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"there is no config {path}", hint="Give one of isnet/configs")
    config = read_config(path, str(path))
    model = config.get("model")
    if not (isinstance(model, dict) and {"backbone", "decode_head"} <= model.keys()):
        raise UserError(
            "has no model with backbone and decode_head",
            where=str(path),
            hint="Give one of isnet/configs",
        )
    return config


def _refuse_existing(output: Path) -> None:
    if output.exists():
        raise UserError(f"{output} exists already", hint="Delete it, or name another --output")


def _save(output: Path, content: dict[str, Any]) -> None:
    from isnet.checkpoints.checkpoint_folder import save_torch

    try:
        save_torch(output, content)
    except OSError as error:
        raise UserError(
            f"cannot write {output}: {error.strerror}", hint="Name another --output"
        ) from None

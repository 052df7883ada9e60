"""Reads checkpoints of the official code, of mmseg and of isnet, without running pickled code."""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from isnet.checkpoints.tensor_names import is_efficientnet_pytorch, timm_names
from isnet.errors import UserError

EFFICIENTNET_PYTORCH = "EfficientNet-PyTorch"

_REFUSED = re.compile(r"(?:GLOBAL|but got) (<class '[^']+'>|\S+)")
_IGNORED = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "builtins.getattr",
    "getattr",
)
"""Types in the loss log of mmengine's training checkpoints. The log is not read."""
_DESCRIBING = ("init_from", "source", "weights")
"""Entries of isnet's provenance that are mappings."""
_MAX_STATEMENTS = 40
_MAX_STATEMENT = 200
"""Longer texts are whole configs or logs."""


@dataclass(frozen=True)
class WeightsFile:
    """Content of a checkpoint file: its format, weights and metadata."""

    path: Path
    kind: str
    """Format: `official (model)`, `official (model_ema)`, `mmseg`, `isnet`, `bare` or
    `EfficientNet-PyTorch`.
    """
    tensors: dict[str, Tensor]
    """Weights by their names in the file, without DDP's prefix `module.`; those of
    EfficientNet-PyTorch by their names in timm.
    """
    meta: Mapping[str, Any]
    """Metadata that mmseg and isnet store beside the weights. Empty in other formats."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """Plain values that the file has beside its weights."""

    @property
    def statements(self) -> dict[str, str]:
        """What the file says of itself, as short texts: run, program, iterations, versions."""
        meta = {key: value for key, value in self.meta.items() if key != "isnet"}
        own = self.meta.get("isnet")
        provenance = own.get("provenance") if isinstance(own, Mapping) else None
        found = dict(_short_texts({**self.beside, **meta, **(provenance or {})}))
        return dict(list(found.items())[:_MAX_STATEMENTS])

    @property
    def classes(self) -> list[str] | None:
        """Names of the classes, by train id, if the file has them."""
        own, data = self.meta.get("isnet"), self.meta.get("dataset_meta")
        for known in (own, data):
            names = known.get("classes") if isinstance(known, Mapping) else None
            if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
                return list(names)
        return None

    @property
    def has_official_names(self) -> bool:
        """Whether tensors have the official code's names instead of those of mmseg and isnet."""
        return any(name.startswith("backbone_net.") for name in self.tensors)


def open_weights(path: Path, *, ema: bool = False) -> WeightsFile:
    """Read a checkpoint of the official code, of mmseg or of isnet, or a bare state dict.

    Args:
        path: the file.
        ema: read an official file's `model_ema` even if it also has `model`.

    Raises:
        UserError: the file is missing, damaged, a pickle of more than tensors and plain values, or
            without the requested weights.
    """
    loaded = _load(path)
    if not isinstance(loaded, Mapping):
        raise _no_weights(path, f"holds a {type(loaded).__name__}, not weights")
    meta = loaded.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    kind, tensors = _select_weights(loaded, path, ema=ema)
    if kind == "mmseg" and "config" in meta:  # mmengine writes `cfg`
        kind = "isnet"
    # Not the state of an optimizer, which is as large as the weights.
    beside = {key: value for key, value in loaded.items() if isinstance(value, str | int | float)}
    if path.suffix == ".safetensors":
        with safe_open(path, "pt") as file:
            beside = file.metadata() or {}
    tensors = _check_tensors(tensors, path)
    if is_efficientnet_pytorch(tensors):
        kind, tensors = EFFICIENTNET_PYTORCH, timm_names(tensors)
    return WeightsFile(path, kind, tensors, meta, beside)


def _short_texts(node: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the short plain values of a mapping by their dotted names."""
    for key, value in node.items():
        name = f"{above}{key}"
        if isinstance(value, str | int | float) and len(str(value)) <= _MAX_STATEMENT:
            yield name, str(value)
        elif name in _DESCRIBING and isinstance(value, Mapping):
            yield from _short_texts(value, f"{name}.")


class _Ignored:
    """Placeholder for objects of the types in `_IGNORED`, which are neither imported nor called."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _load(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"there is no file {path}", hint="Give the path of a checkpoint")
    try:
        with (
            torch.serialization.safe_globals([(_Ignored, name) for name in _IGNORED]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            if path.suffix == ".safetensors":
                return load_file(path)
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise errors of many types
        refused = _REFUSED.search(str(error))
        if refused:
            what = f"would load {refused[1]}, which is neither a tensor nor a plain value"
            why = "a pickle can run any code, so it was not opened"
            hint = "If you trust it, save its state dict alone, with the program it comes from"
            raise UserError(f"{what}: {why}", where=str(path), hint=hint) from None
        writer = "safetensors" if path.suffix == ".safetensors" else "torch.save"
        what = f"was not written by {writer}, or is damaged (an HTML page? truncated?)"
        raise UserError(what, where=str(path), hint="Get the file again") from error


def _select_weights(loaded: Mapping[str, Any], path: Path, *, ema: bool) -> tuple[str, Any]:
    if ema and "model_ema" not in loaded:
        what = "has no averaged weights (`model_ema`)"
        raise UserError(what, where=str(path), hint="Leave --ema out")
    if ema or ("model_ema" in loaded and "model" not in loaded):
        return "official (model_ema)", loaded["model_ema"]
    if "model" in loaded:
        return "official (model)", loaded["model"]
    if "state_dict" in loaded:
        return "mmseg", loaded["state_dict"]
    if loaded and all(isinstance(value, Tensor) for value in loaded.values()):
        return "bare", loaded
    found = ", ".join(map(str, loaded))[:200]
    raise _no_weights(path, f"has neither model, model_ema nor state_dict, but {found}")


def _check_tensors(tensors: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(tensors, Mapping) or not tensors:
        raise _no_weights(path, "has no weights under its key")
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.is_complex():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise _no_weights(path, f"{name!r} is a {kind}, not a named tensor of real numbers")
    prefix = "module." if all(name.startswith("module.") for name in tensors) else ""
    return {name.removeprefix(prefix): value.detach() for name, value in tensors.items()}


def _no_weights(path: Path, what: str) -> UserError:
    hint = "Give a checkpoint of the official code, of mmseg or of isnet"
    return UserError(what, where=str(path), hint=hint)

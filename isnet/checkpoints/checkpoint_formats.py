"""Checkpoint files of several origins, opened without running what may hide in them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from isnet.errors import UserError

__all__ = ["WeightsFile", "open_weights"]

_REFUSED = re.compile(r"(?:GLOBAL|but got) (<class '[^']+'>|\S+)")
_UNREAD = (
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
"""What mmengine's training checkpoints hold beside the weights: a log of losses. It is not read."""


@dataclass(frozen=True)
class WeightsFile:
    """What was found in a checkpoint file."""

    path: Path
    kind: str
    """For people: `official (model)`, `official (model_ema)`, `mmseg`, `isnet`, `bare`."""
    tensors: dict[str, Tensor]
    """By the file's own names, without DDP's `module.`."""
    meta: Mapping[str, Any]
    """What mmseg's and our files say of themselves; empty elsewhere."""

    @property
    def has_official_names(self) -> bool:
        """Whether the tensors have the official names (or ours, which are mmseg's)."""
        return any(name.startswith("backbone_net.") for name in self.tensors)


def open_weights(path: Path, *, ema: bool = False) -> WeightsFile:
    """Open a checkpoint of the official code, of mmseg, of ours, or a bare state dict.

    Args:
        path: the file.
        ema: take an official file's `model_ema` where it also has `model`.

    Raises:
        UserError: absent, damaged, a pickle that wants more than tensors and plain values, without
        weights, or without the averaged ones that were asked for.
    """
    loaded = _load(path)
    if not isinstance(loaded, Mapping):
        raise UserError(
            f"holds a {type(loaded).__name__}, not weights",
            where=str(path),
            hint="Give a checkpoint of the official code, of mmseg or of isnet",
        )
    told = loaded.get("meta")
    meta = told if isinstance(told, Mapping) else {}
    kind, tensors = _weights_in(loaded, path, ema=ema)
    if kind == "mmseg" and "config" in meta:  # mmengine writes `cfg`
        kind = "isnet"
    return WeightsFile(path, kind, _checked(tensors, path), meta)


class _Unread:
    """Stands wherever a file names one of `_UNREAD`: nothing of theirs is imported or called."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _load(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"there is no file {path}", hint="Give the path of a checkpoint")
    try:
        with (
            torch.serialization.safe_globals([(_Unread, name) for name in _UNREAD]),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what damage raises has no common type
        refused = _REFUSED.search(str(error))
        if refused:
            raise UserError(
                f"wants to load {refused[1]}, which is neither a tensor nor a plain value: a "
                "pickle can run any code, so it was not opened",
                where=str(path),
                hint="If you trust it, save its state dict alone, with the program it comes from",
            ) from None
        raise UserError(
            "is no file of torch.save, or damaged (an HTML page? cut short?)",
            where=str(path),
            hint="Get it again",
        ) from error


def _weights_in(loaded: Mapping[str, Any], path: Path, *, ema: bool) -> tuple[str, Any]:
    if ema and "model_ema" not in loaded:
        raise UserError(
            "has no averaged weights (`model_ema`)", where=str(path), hint="Leave --ema out"
        )
    if ema or ("model_ema" in loaded and "model" not in loaded):
        return "official (model_ema)", loaded["model_ema"]
    if "model" in loaded:
        return "official (model)", loaded["model"]
    if "state_dict" in loaded:
        return "mmseg", loaded["state_dict"]
    if loaded and all(isinstance(value, Tensor) for value in loaded.values()):
        return "bare", loaded
    raise UserError(
        f"has neither model, model_ema nor state_dict, but {', '.join(map(str, loaded))[:200]}",
        where=str(path),
        hint="Give a checkpoint of the official code, of mmseg or of isnet",
    )


def _checked(tensors: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(tensors, Mapping) or not tensors:
        raise UserError("has no weights under its key", where=str(path), hint="Get another file")
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.is_complex():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise UserError(
                f"{name!r} is a {kind}, not a named tensor of real numbers",
                where=str(path),
                hint="Get another file",
            )
    wrapped = all(name.startswith("module.") for name in tensors)
    return {
        name.removeprefix("module.") if wrapped else name: value.detach()
        for name, value in tensors.items()
    }

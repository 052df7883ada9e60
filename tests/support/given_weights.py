"""Weights files as others write them: the demo's ISNet in the formats of this field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from official_models import random_tensors
from torch import Tensor

from isnet.checkpoints.official_names import official_name

__all__ = ["official_file", "various", "write_safetensors"]


def various(weights: Path) -> dict[str, Tensor]:
    """Return random tensors with the names and shapes of a file, under which several classes win."""
    return random_tensors(torch.load(weights, weights_only=True)["state_dict"])


def official_file(weights: Path, file: Path) -> Path:
    """Write these tensors as the authors' code does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {official_name(name): value for name, value in various(weights).items()}
    torch.save({"model": tensors, "cur_epoch": 440, "optimizer": {"state": {}}}, file)
    return file


def write_safetensors(tensors: dict[str, Tensor], file: Path, **metadata: str) -> Path:
    """Write a file of the format safetensors."""
    names = {torch.float32: "F32", torch.int64: "I64", torch.float16: "F16"}
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    data = b""
    for name, value in tensors.items():
        content = value.contiguous().numpy().tobytes()
        place = [len(data), len(data) + len(content)]
        header[name] = {
            "dtype": names[value.dtype],
            "shape": [*value.shape],
            "data_offsets": place,
        }
        data += content
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return file

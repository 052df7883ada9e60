"""Weights files as others write them: the demo's ISNet in the formats of this field."""

from __future__ import annotations

from pathlib import Path

import torch
from official_models import random_tensors
from torch import Tensor

from isnet.checkpoints.tensor_names import official_name

__all__ = ["official_file", "various"]


def various(weights: Path) -> dict[str, Tensor]:
    """Return random tensors with the names and shapes of a file, under which several classes win."""
    return random_tensors(torch.load(weights, weights_only=True)["state_dict"])


def official_file(weights: Path, file: Path) -> Path:
    """Write these tensors as the authors' code does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tensors = {official_name(name): value for name, value in various(weights).items()}
    torch.save({"model": tensors, "cur_epoch": 440, "optimizer": {"state": {}}}, file)
    return file

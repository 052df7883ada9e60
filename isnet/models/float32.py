"""Where half precision is not enough."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["at_least_float32"]


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x` in float32 where it is bfloat16 or float16, else as it is (float64 stays)."""
    return x.to(torch.promote_types(x.dtype, torch.float32))

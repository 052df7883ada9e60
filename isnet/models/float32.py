"""float32 where half precision is not enough, and TensorFloat-32 on or off."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["allow_tf32", "at_least_float32"]


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x` in float32 where it is bfloat16 or float16, else as it is (float64 stays)."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def allow_tf32(allowed: bool) -> None:
    """Switch TensorFloat-32 in matrix products and convolutions of float32 tensors on a GPU.

    Both ways explicitly: torch's own default allows it in convolutions. torch's older switches,
    because its newer ones (`fp32_precision`) make torch 2.11's compiler fail where it reads these.
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed

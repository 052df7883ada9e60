"""Casts tensors to float32, and switches TensorFloat-32 on or off."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Cast a bfloat16 or float16 tensor to float32. Other tensors keep their dtype."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def allow_tf32(allowed: bool) -> None:
    """Allow or forbid TensorFloat-32 in matrix products and convolutions on a GPU.

    torch's default allows it in convolutions. Uses the older switches: after the newer ones
    (`fp32_precision`), torch 2.11's compiler fails.
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed

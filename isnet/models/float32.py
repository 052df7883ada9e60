"""float32 casts, and the switch for TensorFloat-32."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Cast `x` to float32 if it is bfloat16 or float16; other dtypes stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def allow_tf32(allowed: bool) -> None:
    """Allow or forbid TensorFloat-32 in matrix products and convolutions on a GPU.

    torch's default allows it in convolutions. Uses the older switches: after the newer ones
    (`fp32_precision`), torch 2.11's compiler fails.
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed

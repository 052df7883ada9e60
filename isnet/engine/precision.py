"""Number formats of a training: autocast with or without a gradient scaler, TensorFloat-32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from isnet.params import Precision

__all__ = ["BFloat16OptimWrapper", "allow_tf32", "optimizer_wrapper"]

_AMP_SETTINGS = ("dtype", "loss_scale", "use_fsdp")
"""What mmengine's AmpOptimWrapper takes beyond OptimWrapper."""


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass and the loss in bfloat16 autocast; weights and their gradients stay
    float32.

    On CPU and GPU, and without a gradient scaler: bfloat16 has float32's range. mmengine's
    AmpOptimWrapper refuses the CPU, and scales in any case.
    """

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast on the model's device."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


def optimizer_wrapper(config: dict[str, Any], precision: Precision) -> dict[str, Any]:
    """Return an `optim_wrapper` config with the type that `precision` needs.

    Everything else in it stays (`clip_grad`, `paramwise_cfg`, `constructor`, ...). The run decides,
    also over a config with autocast: there is one place to say it, and no CPU could run mmengine's.
    """
    if precision == "fp16":
        return {**config, "type": "AmpOptimWrapper", "dtype": "float16"}
    chosen = {key: value for key, value in config.items() if key not in _AMP_SETTINGS}
    if precision == "bf16":
        return {**chosen, "type": "BFloat16OptimWrapper"}
    if config.get("type") in ("AmpOptimWrapper", "BFloat16OptimWrapper"):
        return {**chosen, "type": "OptimWrapper"}
    return config


def allow_tf32(allowed: bool) -> None:
    """Switch TensorFloat-32 in matrix products and convolutions of float32 tensors on a GPU.

    Both ways explicitly: torch's own default allows it in convolutions. torch's older switches,
    because its newer ones (`fp32_precision`) make torch 2.11's compiler fail where it reads these.
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed

"""`torch.compile` for the parts of a segmentor."""

from typing import Any

import torch
from torch import nn


def compile_parts(model: nn.Module) -> None:
    """Compile backbone, neck and heads of an mmseg segmentor in place, for training only.

    State-dict names stay. Losses, preprocessing and the optimizer stay eager: compiling the whole
    `train_step`, as mmengine does, breaks into many graphs. Crops have one size, so each part is
    compiled once; validation stays eager, because its images vary in size.
    """
    for name in ("backbone", "neck", "decode_head", "auxiliary_head"):
        part = getattr(model, name, None)
        for module in part if isinstance(part, nn.ModuleList) else [part]:
            if module is not None:
                _compile_in_training(module)


def _compile_in_training(module: nn.Module) -> None:
    """Replace `forward` itself: the losses of mmseg's heads call it, and not the module."""
    eager, compiled = module.forward, torch.compile(module.forward)

    def forward(*inputs: Any) -> Any:
        return (compiled if module.training else eager)(*inputs)

    module.forward = forward

"""`torch.compile` on the parts of a segmentor, and the C++ compiler that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

__all__ = ["compile_parts"]


def compile_parts(model: nn.Module) -> None:
    """Compile backbone, neck and heads of an mmseg segmentor in place, for training alone.

    Their state-dict names stay; losses, data preprocessing and the optimizer stay eager: the whole
    of `train_step`, mmengine's choice, breaks into many graphs. Crops have one size, so each part
    is compiled once. Validation stays eager: its images may each have a size of their own.
    """
    from torch.nn import ModuleList

    for name in ("backbone", "neck", "decode_head", "auxiliary_head"):
        part = getattr(model, name, None)
        for module in part if isinstance(part, ModuleList) else [part]:
            if module is not None:
                _compile_in_training(module)


def _compile_in_training(module: nn.Module) -> None:
    """Replace `forward` itself: the losses of mmseg's heads call it, and not the module."""
    import torch

    eager, compiled = module.forward, torch.compile(module.forward)

    def forward(*inputs: Any) -> Any:
        return (compiled if module.training else eager)(*inputs)

    module.forward = forward

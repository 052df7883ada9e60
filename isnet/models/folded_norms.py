"""Batch norms that have become part of the convolutions before them, for inference."""

from __future__ import annotations

from typing import TypeGuard

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["FoldedNorm", "fold_norms"]


class FoldedNorm(nn.Identity):
    """Stands where a batch norm was.

    Its parameters are kept, though nothing uses them: a network has as many as it was trained with.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias


@torch.no_grad()
def fold_norms(module: nn.Module) -> None:
    """Let each convolution of `module`, which is in evaluation mode, do what the batch norm after
    it does: one pass over its output less. What comes after what is read off the order of the
    children, as in ResNets.
    """
    convolution = None
    for name, child in module.named_children():
        if convolution is not None and _is_fixed(child):
            _fold(convolution, child)
            setattr(module, name, FoldedNorm(child))
        elif not isinstance(child, nn.Conv2d):
            fold_norms(child)
        convolution = child if isinstance(child, nn.Conv2d) else None


def _is_fixed(module: nn.Module) -> TypeGuard[_BatchNorm]:
    """Whether it is a batch norm that scales and shifts by numbers of its own: one without running
    statistics takes those of its batch, also in evaluation.
    """
    return isinstance(module, _BatchNorm) and module.affine and module.track_running_stats


def _fold(convolution: nn.Conv2d, norm: _BatchNorm) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt() * norm.weight.double()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    weight, bias = convolution.weight, convolution.bias
    weight.copy_(weight.double() * scale[:, None, None, None])
    if bias is not None:
        bias.copy_(bias.double() * scale + shift)
    else:
        # A buffer: no parameter that the network did not have.
        del convolution.bias
        convolution.register_buffer("bias", shift.to(weight.dtype))

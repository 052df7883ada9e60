"""Applies the settings that affect speed and rounding: torch.compile and deterministic kernels."""

import os
from typing import Any

import torch
from torch import nn


def require_deterministic(wanted: bool) -> None:
    """Make torch use deterministic kernels only, or allow all kernels again.

    Call it before CUDA is initialised. CPU kernels are always deterministic for a given number of
    threads.
    """
    if wanted:
        # Without a workspace per stream, cuBLAS adds in an order that depends on timing.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if wanted != torch.are_deterministic_algorithms_enabled():  # setting it imports the compiler
        torch.use_deterministic_algorithms(wanted)
    # Only needed by code that reads uninitialised memory, which there is none of here.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def compile_parts(model: nn.Module) -> None:
    """Compile backbone, neck and heads of an mmseg segmentor in place, for training only.

    The names in the state dict stay the same. Losses, preprocessing and the optimizer stay eager,
    because compiling the whole `train_step`, as mmengine does, splits it into many graphs.
    Validation stays eager, because its images vary in size.
    """
    for name in ("backbone", "neck", "decode_head", "auxiliary_head"):
        part = getattr(model, name, None)
        for module in part if isinstance(part, nn.ModuleList) else filter(None, [part]):
            _compile_in_training(module)


def _compile_in_training(module: nn.Module) -> None:
    """Replace `forward` of a module by a version that is compiled in training mode.

    The method itself is replaced because the losses of mmseg's heads call it, not the module.
    """
    eager, compiled = module.forward, torch.compile(module.forward)

    def forward(*inputs: Any) -> Any:
        return (compiled if module.training else eager)(*inputs)

    module.forward = forward

"""Applies the settings that affect speed and rounding: kernels, memory layout, torch.compile."""

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


def set_layout(model: nn.Module, *, channels_last: bool, on_gpu: bool) -> None:
    """Set the memory layout of a segmentor's images and, on a GPU, of its weights.

    The feature maps get the layout of the images. On a CPU, weights stay contiguous: convolutions
    reorder them in any case, and torch's fused optimizers copy weights of other layouts.
    """
    if on_gpu and channels_last:
        model.to(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def lay_out_images(_module: nn.Module, _inputs: Any, batch: dict[str, Any]) -> None:
        batch["inputs"] = batch["inputs"].contiguous(memory_format=layout)

    model.get_submodule("data_preprocessor").register_forward_hook(lay_out_images)


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

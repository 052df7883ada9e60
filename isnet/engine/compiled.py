"""`torch.compile` on the parts of a segmentor, and the C++ compiler that it needs."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isnet.errors import UserError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["compile_parts", "missing_tool", "require_tools"]


def missing_tool() -> str | None:
    """Say what torch.compile lacks on this machine, None where it lacks nothing.

    It translates to C++ for the CPU; for a GPU, triton compiles its launchers likewise.
    """
    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(shlex.split(compiler)[0]):
        return f"there is no C++ compiler {compiler}"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return None if header.is_file() else f"there is no {header}"


def require_tools(run: str) -> None:
    """Refuse `compile: true` of a run where it cannot work.

    Raises:
        UserError: naming what is missing.
    """
    missing = missing_tool()
    if missing:
        raise UserError(
            f"compile needs a C++ compiler and Python's headers: {missing}",
            where=f"params.yaml: runs.{run}.compile",
            cure="Install g++ and python3-dev, or write compile: false",
        )


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

"""The C++ compiler and headers that `torch.compile` needs."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
from pathlib import Path

from isnet.errors import UserError

__all__ = ["missing_tool", "require_tools"]


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
            hint="Install g++ and python3-dev, or write compile: false",
        )

"""Checks for the C++ compiler and the Python headers that `torch.compile` needs."""

import os
import shlex
import shutil
import sysconfig
from pathlib import Path

from isnet.errors import UserError


def missing_tool() -> str | None:
    """Return a message on the first missing tool of `torch.compile`, or None if none is missing.

    GPUs need a compiler too, because Triton compiles its kernel launchers.
    """
    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(shlex.split(compiler)[0]):
        return f"there is no C++ compiler {compiler}"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return None if header.is_file() else f"there is no {header}"


def require_tools(run: str) -> None:
    """Raise UserError if this machine lacks the tools for `compile: true` of a run."""
    if missing := missing_tool():
        what = f"compile needs a C++ compiler and Python's headers: {missing}"
        hint = "Install g++ and python3-dev, or write compile: false"
        raise UserError(what, where=f"params.yaml: runs.{run}.compile", hint=hint)

"""Finds out what the installed torch was built for, and whether driver and compiler can run it."""

from __future__ import annotations

import os
import runpy
import shlex
import shutil
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from isnet.errors import UserError


@dataclass(frozen=True)
class TorchBuild:
    """A build of torch: folder of the package, version such as `2.14.1+cu130`, and what it is for.

    `cuda` or `hip` is the version of CUDA or ROCm that it was built for; None for a build without.
    """

    folder: Path
    version: str
    cuda: str | None
    hip: str | None

    @classmethod
    def find(cls) -> TorchBuild | None:
        """Return the installed build, read without importing torch; None if there is no torch."""
        spec = find_spec("torch")
        if spec is None or spec.origin is None:
            return None
        folder = Path(spec.origin).parent
        facts = runpy.run_path(str(folder / "version.py"))
        return cls(folder, facts["__version__"], facts.get("cuda"), facts.get("hip"))

    @property
    def platform(self) -> str:
        """What the build is for: `CUDA 13.0`, `ROCm 6.4` or `CPU`."""
        return f"CUDA {self.cuda}" if self.cuda else f"ROCm {self.hip}" if self.hip else "CPU"

    def misfit(self, driver_cuda: str) -> str | None:
        """Say what to do if the driver, which runs CUDA up to `driver_cuda`, cannot run the build.

        Returns None if it can. A driver runs builds for each minor version of its CUDA.
        """
        newest = driver_cuda.partition(".")[0]
        if self.cuda is None:
            return f"torch is built for {self.platform}: install a build for CUDA {newest}"
        if int(self.cuda.partition(".")[0]) > int(newest):
            return f"Update the driver, or install a torch that is built for CUDA {newest}"
        return None


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
    """Raise UserError if a run with `compile: true` lacks the C++ compiler or Python's headers."""
    if missing := missing_tool():
        what = f"compile needs a C++ compiler and Python's headers: {missing}"
        hint = "Install g++ and python3-dev, or write compile: false"
        raise UserError(what, where=f"params.yaml: runs.{run}.compile", hint=hint)

"""The installed torch: what it was built for, and whether the NVIDIA driver runs it."""

from __future__ import annotations

import runpy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class TorchBuild:
    """A build of torch: folder of the package, version such as `2.14.1+cu130`, its CUDA or ROCm."""

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
        """Say what to do if a driver of CUDA `driver_cuda` cannot run the build, if so."""
        newest = driver_cuda.partition(".")[0]
        if self.cuda is None:
            return f"torch is built for {self.platform}: install a build for CUDA {newest}"
        if int(self.cuda.partition(".")[0]) > int(newest):
            return f"Update the driver, or install a torch that is built for CUDA {newest}"
        return None

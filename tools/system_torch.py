"""Makes an environment that uses the torch of this Python: `make setup TORCH=system`.

`PYTHON tools/system_torch.py VENV` creates VENV, with the folders of PYTHON's torch and torchvision
after its own, and VENV/requirements.txt: requirements.lock without torch and the packages that come
with it.
"""

import re
import sys
import venv
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

_ROOT = Path(__file__).parents[1]
_PART_OF_TORCH = re.compile(
    r"(torch|torchvision|triton|cuda-[\w-]+|nvidia-(cu|nc|nv)[\w-]+)(\[[\w,-]+\])?=="
)
"""Lines of the lock. `nvidia-ml-py` reads the driver, and comes with no torch."""


def main(environment: Path) -> None:
    """Create the environment, or exit with one line and code 2 if this Python has no torch."""
    folders = find_torch((_ROOT / "pyproject.toml").read_text())
    venv.create(environment, with_pip=True, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    path_file = environment / "lib" / version / "site-packages/system_torch.pth"
    path_file.write_text("".join(f"{folder}\n" for folder in folders))
    rest = rest_of((_ROOT / "requirements.lock").read_text())
    (environment / "requirements.txt").write_text(rest)


def find_torch(project: str) -> list[Path]:
    """Return the folders of torch and torchvision, in versions that pyproject.toml allows."""
    folders = list[Path]()
    for name in ("torch", "torchvision"):
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            _refuse(f"{sys.executable} has no {name}")
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            _refuse(f"{name} of {sys.executable} has no metadata")
        folders.append(Path(spec.origin).parents[1])
        least = re.search(rf'"{name}>=([\d.]+)"', project)
        if least and _numbers(version) < _numbers(least[1]):
            _refuse(f"{name} {version} of {sys.executable} is older than {least[1]}")
    return list(dict.fromkeys(folders))


def rest_of(lock: str) -> str:
    """Return the lines of requirements.lock without torch and what comes with it."""
    lines = lock.splitlines(keepends=True)
    return "".join(line for line in lines if not _PART_OF_TORCH.match(line))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def _refuse(what: str) -> NoReturn:
    print(f"make: {what}: name a Python that has it: make PYTHON=python", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

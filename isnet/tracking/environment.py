"""Collects the environment of a result: package versions, git commit and hardware."""

import contextlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from isnet.machine.gpus import gpu_models
from isnet.machine.host_resources import usable_cores
from isnet.tracking.redaction import redact

_PACKAGES = (
    *("torch", "torchvision", "onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation", "numpy"),
    *("opencv-python-headless", "opencv-python", "mlflow", "snakemake", "dvc"),
)
_SETTINGS = (":(exclude)params.yaml", ":(exclude)dvc.lock")
_PACKAGE = Path(__file__).parents[1]


def collect_environment() -> dict[str, Any]:
    """Collect package versions, git commit and hardware, without importing torch.

    They may explain why a result differs on another machine.
    """
    commit, dirty = git_commit()
    package = package_commit()
    return {
        "isnet": metadata.version("isnet"),
        **({"isnet_commit": package} if package else {}),
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "hardware": hardware(),
        "gpus": gpu_models(),
        "packages": {name: version for name, version in installed_versions().items() if version},
        "command": redact(" ".join(["isnet", *sys.argv[1:]])),
    }


def installed_versions(packages: Iterable[str] = _PACKAGES) -> dict[str, str | None]:
    """Return the installed version of each package, or None if a package is not installed.

    By default the packages are those that affect results.
    """
    found: dict[str, str | None] = dict.fromkeys(packages)
    for name in found:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def git_commit() -> tuple[str | None, bool]:
    """Return the project's git commit, and whether tracked files but the settings differ from it.

    Returns (None, False) if git fails.
    """
    try:
        changed = ("status", "--porcelain", "--untracked-files=no", "--", ":/", *_SETTINGS)
        return _git("rev-parse", "HEAD"), bool(_git(*changed))
    except (OSError, subprocess.SubprocessError):
        return None, False


def package_commit() -> str | None:
    """Return the git commit of the package if it is in a clone that is not the project."""
    root, package = ("rev-parse", "--show-toplevel"), ("-C", str(_PACKAGE))
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        _git(*package, "ls-files", "--error-unmatch", "__init__.py")  # not so in an environment
        clone = _git(*package, *root)
        with contextlib.suppress(subprocess.SubprocessError):  # the project need not be in git
            if _git(*root) == clone:
                return None
        return _git(*package, "rev-parse", "HEAD")
    return None


def _git(*words: str) -> str:
    command = ["git", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=True
    ).stdout.strip()


def hardware() -> str:
    """Describe usable CPU cores, processor and memory in one line."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{usable_cores()} x {_processor()}, {memory:.0f} GiB"


def _processor() -> str:
    with contextlib.suppress(OSError):
        if model := re.search(r"^model name\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.M):
            return " ".join(model[1].split())
    return platform.processor() or platform.machine()

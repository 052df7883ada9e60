"""`isnet doctor`: what is installed and present here, and the hint for what is wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from isnet.errors import UserError
from isnet.io.cpp_toolchain import missing_tool
from isnet.tracking.environment import gpus, hardware, installed_versions
from isnet.tracking.store_address import scrubbed

__all__ = ["Finding", "examine", "findings"]

_LEAST_FREE_GB = 5.0
_ESSENTIAL = ("torch", "torchvision", "onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation")


@dataclass(frozen=True)
class Finding:
    """One thing looked at; with a hint it is wrong."""

    what: str
    is_now: str
    hint: str | None = None


def examine() -> int:
    """Print all findings; return 1 if one of them needs a hint."""
    from rich.console import Console
    from rich.table import Table

    found = findings()
    table = Table.grid(padding=(0, 2))
    for finding in found:
        mark = "[red]wrong[/red]" if finding.hint else "[green]ok[/green]"
        table.add_row(mark, finding.what, finding.is_now)
        if finding.hint:
            table.add_row("", "", f"[bold]hint: {finding.hint}[/bold]")
    Console().print(table)
    return int(any(finding.hint for finding in found))


def findings() -> list[Finding]:
    """Look at Python, packages, libraries, devices, compiler, disk, params.yaml and MLflow."""
    return [
        _python(),
        *_packages(),
        _opencv(),
        _programs(),
        Finding("hardware", hardware()),
        _gpus(),
        _compiler(),
        _disk(),
        _parameters(),
        _mlruns(),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    return Finding("python", version, "Install Python 3.11 or newer" if old else None)


def _packages() -> list[Finding]:
    versions = installed_versions()
    found = []
    for name, version in versions.items():
        if version is None and name.startswith("opencv"):
            continue
        hint = f"pip install {name}" if version is None else None
        if version is None and name not in _ESSENTIAL:
            hint = f"pip install {name} (or `make setup`)"
        found.append(Finding(name, version or "missing", hint))
    return found


def _opencv() -> Finding:
    """OpenCV's usual wheel needs libGL, which a bare server lacks."""
    answer = subprocess.run(
        [sys.executable, "-c", "import cv2; print(cv2.__version__)"],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode == 0:
        return Finding("OpenCV imports", answer.stdout.strip())
    reason = (answer.stderr.strip().splitlines() or ["?"])[-1]
    hint = "pip uninstall -y opencv-python && pip install opencv-python-headless"
    return Finding("OpenCV imports", reason, hint)


def _programs() -> Finding:
    missing = [
        name for name in ("isnet", "snakemake", "dvc", "mlflow", "git") if not shutil.which(name)
    ]
    hint = "Activate the environment: . .venv/bin/activate" if missing else None
    return Finding("programs", f"not on PATH: {', '.join(missing)}" if missing else "on PATH", hint)


def _gpus() -> Finding:
    """Compare what the driver shows with what torch can use."""
    shown = gpus()
    if not shown:
        return Finding("GPUs", "none: runs need `devices: cpu`")
    code = "import torch; print(torch.cuda.device_count())"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    usable = int(answer.stdout.strip() or 0)
    hint = "This torch does not fit the driver: install the build for it" if not usable else None
    return Finding("GPUs", f"{'; '.join(shown)} ({usable} usable)", hint)


def _compiler() -> Finding:
    missing = missing_tool()
    lacking = f"{missing}: runs need `compile: false`"
    return Finding("C++ compiler", lacking if missing else "present, with Python's headers")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    hint = "Free some space, or set paths.data to another disk" if free < _LEAST_FREE_GB else None
    return Finding("free disk", f"{free:.0f} GB", hint)


def _parameters() -> Finding:
    from isnet.settings.params import load_params
    from isnet.settings.plan import Plan

    try:
        plan = Plan.of(load_params())
    except UserError as error:
        return Finding("params.yaml", "refused", str(error))
    return Finding("params.yaml", f"{len(plan.params.datasets)} data sets, {len(plan.runs)} runs")


def _mlruns() -> Finding:
    """An old ./mlruns makes a bare `mlflow ui` take the file store, which it then refuses."""
    old = list(Path("mlruns").glob("*/meta.yaml"))
    store = scrubbed(os.environ.get("MLFLOW_TRACKING_URI", "params.yaml: tracking.uri"))
    hint = "Move ./mlruns away: with it a bare `mlflow ui` refuses to start" if old else None
    return Finding("MLflow store", store if not old else "an old ./mlruns is here", hint)

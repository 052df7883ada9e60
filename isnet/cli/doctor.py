"""The `doctor` command: checks the installation and the machine, with a hint for each problem."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from isnet.errors import UserError
from isnet.io.cpp_toolchain import missing_tool
from isnet.io.visible_gpus import gpu_models
from isnet.tracking.environment import hardware, installed_versions
from isnet.tracking.redaction import redact

_LEAST_FREE_GB = 5.0
_ESSENTIAL = ("torch", "torchvision", "onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation")


@dataclass(frozen=True)
class Check:
    """The result of one check; a hint marks a problem.

    Attributes:
        what: what was checked.
        value: the version or state that was found.
        hint: what to do about a problem, None if there is none.
    """

    what: str
    value: str
    hint: str | None = None


def examine() -> int:
    """Print all checks; return 1 if one found a problem, else 0."""
    from rich.console import Console
    from rich.table import Table

    checks = run_checks()
    table = Table.grid(padding=(0, 2))
    for check in checks:
        mark = "[red]wrong[/red]" if check.hint else "[green]ok[/green]"
        table.add_row(mark, check.what, check.value)
        if check.hint:
            table.add_row("", "", f"[bold]hint: {check.hint}[/bold]")
    Console().print(table)
    return int(any(check.hint for check in checks))


def run_checks() -> list[Check]:
    """Check Python, packages, libraries, devices, compiler, disk, params.yaml and MLflow."""
    return [
        _python(),
        *_packages(),
        _opencv(),
        _programs(),
        Check("hardware", hardware()),
        _gpus(),
        _compiler(),
        _disk(),
        _parameters(),
        _mlruns(),
    ]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    return Check("python", version, "Install Python 3.11 or newer" if old else None)


def _packages() -> list[Check]:
    versions = installed_versions()
    found = []
    for name, version in versions.items():
        if version is None and name.startswith("opencv"):
            continue
        hint = f"pip install {name}" if version is None else None
        if version is None and name not in _ESSENTIAL:
            hint = f"pip install {name} (or `make setup`)"
        found.append(Check(name, version or "missing", hint))
    return found


def _opencv() -> Check:
    """Import OpenCV: its default wheel needs libGL, which servers often lack."""
    answer = subprocess.run(
        [sys.executable, "-c", "import cv2; print(cv2.__version__)"],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode == 0:
        return Check("OpenCV imports", answer.stdout.strip())
    reason = (answer.stderr.strip().splitlines() or ["?"])[-1]
    hint = "pip uninstall -y opencv-python && pip install opencv-python-headless"
    return Check("OpenCV imports", reason, hint)


def _programs() -> Check:
    missing = [
        name for name in ("isnet", "snakemake", "dvc", "mlflow", "git") if not shutil.which(name)
    ]
    hint = "Activate the environment: . .venv/bin/activate" if missing else None
    return Check("programs", f"not on PATH: {', '.join(missing)}" if missing else "on PATH", hint)


def _gpus() -> Check:
    """Compare the GPUs of the driver with those that torch can use."""
    shown = gpu_models()
    if not shown:
        return Check("GPUs", "none: runs need `devices: cpu`")
    code = "import torch; print(torch.cuda.device_count())"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    usable = int(answer.stdout.strip() or 0)
    hint = "Install the torch build for this driver" if not usable else None
    return Check("GPUs", f"{'; '.join(shown)} ({usable} usable)", hint)


def _compiler() -> Check:
    missing = missing_tool()
    lacking = f"{missing}: runs need `compile: false`"
    return Check("C++ compiler", lacking if missing else "present, with Python's headers")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    hint = "Free some space, or set paths.data to another disk" if free < _LEAST_FREE_GB else None
    return Check("free disk", f"{free:.0f} GB", hint)


def _parameters() -> Check:
    from isnet.settings.params import load_params
    from isnet.settings.plan import Plan

    try:
        plan = Plan.of(load_params())
    except UserError as error:
        return Check("params.yaml", "refused", str(error))
    return Check("params.yaml", f"{len(plan.params.datasets)} data sets, {len(plan.runs)} runs")


def _mlruns() -> Check:
    """Find an old ./mlruns folder, with which `mlflow ui` fails to start."""
    old = list(Path("mlruns").glob("*/meta.yaml"))
    store = redact(os.environ.get("MLFLOW_TRACKING_URI", "params.yaml: tracking.uri"))
    hint = "Move ./mlruns away: `mlflow ui` does not start with it" if old else None
    return Check("MLflow store", "an old ./mlruns folder" if old else store, hint)

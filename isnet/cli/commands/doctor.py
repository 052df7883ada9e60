"""`isnet doctor` checks the installation and the machine."""

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from isnet.errors import UserError
from isnet.extras import install_command, is_installed
from isnet.machine.gpus import driver_versions, gpu_models
from isnet.machine.torch_build import TorchBuild, missing_tool
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.environment import hardware, installed_versions
from isnet.tracking.redaction import redact

_LEAST_FREE_GB = 5.0
_OPTIONAL = ("snakemake", "dvc", "mlflow")
"""Packages that extras of isnet bring; each has a program of its name."""


class Check(NamedTuple):
    """The result of one check of `isnet doctor`; a result with a hint is a problem."""

    what: str
    value: str  # the version or state that was found
    hint: str | None = None  # what to do about a problem


def examine() -> int:
    """Run all checks and print their results. Return exit code 1 if there is a problem, else 0."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    checks = run_checks()
    table = Table.grid(*(Column(overflow="fold") for _ in range(3)), padding=(0, 2))
    for check in checks:
        mark = "[red]wrong[/red]" if check.hint else "[green]ok[/green]"
        table.add_row(mark, check.what, escape(check.value))
        if check.hint:
            table.add_row("", "", f"[bold]hint: {escape(check.hint)}[/bold]")
    Console().print(table)
    return int(any(check.hint for check in checks))


def run_checks() -> list[Check]:
    """Check Python, packages, libraries, devices, compiler, disk, params.yaml and MLflow."""
    old = sys.version_info < (3, 11)
    version = ".".join(map(str, sys.version_info[:3]))
    tool, free = missing_tool(), shutil.disk_usage(Path.cwd()).free / 1e9
    compiler = f"{tool}: runs need `compile: false`" if tool else "present, with Python's headers"
    space = "Free some space, or set paths.data to another disk" if free < _LEAST_FREE_GB else None
    return [
        Check("python", version, "Install Python 3.11 or newer" if old else None),
        *_packages(),
        _opencv(),
        _programs(),
        Check("hardware", hardware()),
        *_torch(),
        _gpus(),
        Check("C++ compiler", compiler),
        Check("free disk", f"{free:.0f} GB", space),
        _parameters(),
        _mlruns(),
    ]


def _programs() -> Check:
    """Check that the programs which stages and workflow engines call are on PATH."""
    expected = ["isnet", "git", *filter(is_installed, _OPTIONAL)]
    missing = [name for name in expected if not shutil.which(name)]
    if not missing:
        return Check("programs", "on PATH")
    hints = ["Install git, such as with `apt-get install git`"] if "git" in missing else []
    if missing != ["git"]:
        hints.append(f"Put {Path(sys.executable).parent} on PATH")
    return Check("programs", f"not on PATH: {', '.join(missing)}", "; ".join(hints))


def _packages() -> list[Check]:
    found, lines = list[Check](), map(Requirement, metadata.requires("isnet") or [])
    needed = {line.name: line.specifier for line in lines}
    for name, version in installed_versions().items():
        if version:
            fits = name not in needed or needed[name].contains(version, prereleases=True)
            found.append(Check(name, version, None if fits else f"Install {name}{needed[name]}"))
        elif name in _OPTIONAL:
            found.append(Check(name, f"not installed: {install_command(name)} brings it"))
        elif not name.startswith("opencv"):
            found.append(Check(name, "missing", f"Run {install_command(name)}"))
    return found


def _run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def _opencv() -> Check:
    """Check that OpenCV can be imported. Its default wheel needs libGL, often absent on servers."""
    answer = _run_python("import cv2; print(cv2.__version__)")
    if answer.returncode == 0:
        return Check("OpenCV imports", answer.stdout.strip())
    reason = (answer.stderr.strip().splitlines() or ["?"])[-1]
    hint = "pip uninstall -y opencv-python && pip install opencv-python-headless"
    return Check("OpenCV imports", reason, hint)


def _torch() -> list[Check]:
    """Check what torch was built for, and that the NVIDIA driver runs such a build."""
    build, driver = TorchBuild.find(), driver_versions()
    checks = [Check("torch build", f"for {build.platform}, in {build.folder}")] if build else []
    if driver:
        hint = build.misfit(driver[1]) if build else None
        checks.append(Check("NVIDIA driver", f"{driver[0]}, runs CUDA up to {driver[1]}", hint))
    return checks


def _gpus() -> Check:
    """Check that torch can compute on the GPUs that the driver reports."""
    shown = gpu_models()
    if not shown:
        of_apple = ", or `devices: mps` on Apple's GPU" if sys.platform == "darwin" else ""
        return Check("GPUs", f"none of NVIDIA: runs need `devices: cpu`{of_apple}")
    answer = _run_python(
        "import torch; print(torch.cuda.device_count(), flush=True);"
        'print(torch.ones(8, device="cuda").sum().item())'  # fails if the GPU is too old
    )
    usable = answer.stdout.split()[0] if answer.stdout else "0"
    reason = (answer.stderr.strip().splitlines() or ["?"])[-1]
    hint = f"torch cannot use them: {reason}" if answer.returncode else None
    return Check("GPUs", f"{'; '.join(shown)} ({usable} usable)", hint)


def _parameters() -> Check:
    try:
        return Check("params.yaml", describe_size(Plan.of(load_params())))
    except UserError as error:
        return Check("params.yaml", "refused", str(error))


def describe_size(plan: Plan) -> str:
    """Return how much params.yaml defines."""
    return f"{len(plan.params.datasets)} data sets, {len(plan.runs)} runs"


def _mlruns() -> Check:
    """Check that no old ./mlruns folder exists, because `mlflow ui` fails to start with one."""
    if any(Path("mlruns").glob("*/meta.yaml")):
        hint = "Move ./mlruns away: `mlflow ui` does not start with it"
        return Check("MLflow store", "an old ./mlruns folder", hint)
    return Check(
        "MLflow store", redact(os.environ.get("MLFLOW_TRACKING_URI", "params.yaml: tracking.uri"))
    )

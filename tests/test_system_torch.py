"""`make setup TORCH=system` keeps the torch that is there, and installs the rest beside it."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from repository import REPOSITORY

SCRIPT = REPOSITORY / "tools/system_torch.py"


def _names(lock: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==", lock, re.M))


def test_the_rest_of_the_lock_has_nothing_that_comes_with_torch() -> None:
    lock = (REPOSITORY / "requirements.lock").read_text()
    rest = runpy.run_path(str(SCRIPT))["rest_of"](lock)
    left_out = _names(lock) - _names(rest)
    assert {"torch", "torchvision", "triton", "nvidia-cublas", "nvidia-nccl-cu13"} <= left_out
    kept = {name for name in _names(rest) if name.startswith(("torch", "nvidia", "cuda"))}
    assert kept == {"nvidia-ml-py"}
    assert {"numpy", "mlflow", "onedl-mmsegmentation"} <= _names(rest)


def test_the_environment_has_the_torch_of_the_python(tmp_path: Path) -> None:
    environment = tmp_path / "an environment"
    subprocess.run([sys.executable, SCRIPT, environment], check=True)
    code = "from importlib.util import find_spec; print(find_spec('torch').origin)"
    done = subprocess.run(
        [environment / "bin/python", "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == torch.__file__
    assert "\ntorch==" not in (environment / "requirements.txt").read_text()


def test_a_python_without_a_fitting_torch_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", SCRIPT, tmp_path / "venv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"make: {sys.executable} has no torch")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "venv").exists()
    find_torch = runpy.run_path(str(SCRIPT))["find_torch"]
    with pytest.raises(SystemExit):
        find_torch('"torch>=99.0"')


def _pretend_package(folder: Path, name: str, *, metadata: bool = True) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    if metadata:
        (folder / f"{name}-9.0.dist-info").mkdir()
        facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.0\n"
        (folder / f"{name}-9.0.dist-info/METADATA").write_text(facts)
    return folder


def test_torch_and_torchvision_may_lie_in_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [_pretend_package(tmp_path / name, name) for name in ("torch", "torchvision")]
    code = f"import runpy; print(*runpy.run_path({str(SCRIPT)!r})['find_torch'](''), sep=chr(10))"
    command = [sys.executable, "-S", "-c", code]
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, folders)))
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.splitlines() == [str(folder) for folder in folders]


def test_a_torch_without_metadata_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _pretend_package(tmp_path / "own", "torch", metadata=False)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    command = [sys.executable, "-S", SCRIPT, tmp_path / "venv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"make: torch of {sys.executable} has no metadata")
    assert done.stderr.count("\n") == 1


def test_an_environment_is_not_made_by_its_own_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    python = tmp_path / ".venv/bin/its-python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{python.parent}:{os.environ['PATH']}")
    command = ["make", "setup", "PYTHON=its-python"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "make: its-python is missing" in done.stdout


@pytest.mark.parametrize(
    ("torch_of", "made", "told"),
    [
        ("sytem", None, "TORCH=sytem is neither lock nor system"),
        ("system", ".ready", "has a torch of its own: remove it first"),
        ("lock", "lib/python3.11/site-packages/system_torch.pth", "uses another torch"),
    ],
)
def test_a_choice_that_would_do_nothing_is_refused(
    torch_of: str, made: str | None, told: str, tmp_path: Path
) -> None:
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    if made:
        (tmp_path / ".venv" / made).parent.mkdir(parents=True)
        (tmp_path / ".venv" / made).touch()
    for name in ("requirements.lock", "pyproject.toml"):  # newer: the environment is made again
        (tmp_path / name).touch()
    command = ["make", "setup", f"TORCH={torch_of}", "PYTHON=false"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert told in done.stdout

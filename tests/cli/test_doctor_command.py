"""`isnet doctor` says which torch is there, and whether the driver runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from stand_in_gpus import show_gpus

from isnet.cli.commands import doctor
from isnet.machine.torch_build import TorchBuild


def _checks() -> dict[str, doctor.Check]:
    return {check.what: check for check in doctor.run_checks()}


def test_the_installed_torch_is_described_without_importing_it() -> None:
    build = TorchBuild.find()
    assert build is not None
    assert (build.version, build.cuda) == (torch.__version__, torch.version.cuda)
    assert build.folder == Path(str(torch.__file__)).parent


@pytest.mark.parametrize(
    ("cuda", "driver", "hint"),
    [
        ("13.0", "13020", None),
        ("13.2", "13000", None),
        ("12.8", "13000", None),
        ("13.0", "12040", "Update the driver, or install a torch that is built for CUDA 12"),
        (None, "12040", "torch is built for CPU: install a build for CUDA 12"),
    ],
)
def test_a_torch_that_the_driver_cannot_run_is_told(
    cuda: str | None,
    driver: str,
    hint: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = TorchBuild(tmp_path / "torch", "2.11.0", cuda, None)
    monkeypatch.setattr(TorchBuild, "find", lambda: build)
    show_gpus(monkeypatch, [{"uuid": "GPU-0"}])
    monkeypatch.setenv("ISNET_TEST_CUDA", driver)
    answer: Any = subprocess.CompletedProcess([], 1, "1\n", "a\nRuntimeError: no kernel image\n")
    monkeypatch.setattr(doctor, "_run_python", lambda code: answer)
    checks = _checks()
    assert checks["torch build"].value == f"for {build.platform}, in {tmp_path}/torch"
    assert checks["NVIDIA driver"].value == f"580.65.06, runs CUDA up to {driver[:2]}.{driver[3]}"
    assert checks["NVIDIA driver"].hint == hint
    assert checks["GPUs"].value == "NVIDIA H200, 143771 MiB (1 usable)"
    assert checks["GPUs"].hint == "torch cannot use them: RuntimeError: no kernel image"


def test_a_long_value_is_shown_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = doctor.Check("torch build", f"for CPU, in {tmp_path}/{'folder' * 20}/torch")
    monkeypatch.setattr(doctor, "run_checks", lambda: [long])
    assert doctor.examine() == 0
    assert "".join(long.value.split()) in "".join(capsys.readouterr().out.split())


def test_a_program_that_is_missing_has_a_hint_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "git" else name)
    assert _checks()["programs"].hint == "Install git, such as with `apt-get install git`"
    monkeypatch.setattr("shutil.which", lambda name: None if name == "isnet" else name)
    assert _checks()["programs"].hint == f"Put {Path(sys.executable).parent} on PATH"


def test_a_machine_without_a_driver_or_with_an_old_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpus(monkeypatch, None)
    monkeypatch.setattr(doctor, "installed_versions", lambda: {"torch": "2.10.1+cpu"})
    checks = _checks()
    assert "NVIDIA driver" not in checks and checks["GPUs"].hint is None
    assert checks["torch"].hint == "Install torch>=2.11"
    monkeypatch.setattr("sys.platform", "darwin")
    assert "`devices: mps` on Apple's GPU" in doctor._gpus().value

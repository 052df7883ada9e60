"""The demo's stages in small, without the functions that macOS lacks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from repository import REPOSITORY

from isnet.io import lock_owner
from isnet.io.lock_owner import LockOwner

STAGES = """
import os, signal
from pathlib import Path
from isnet.io import lock_owner
from isnet.cli import main

assert not hasattr(os, "sched_getaffinity") and not hasattr(signal, "sigwaitinfo")
lock_owner._PROC = Path("/none")
for stage in ("download", "convert", "pack", "baseline"):
    assert main([stage, "--dataset", "streets"]) == 0, stage
import mmengine.device.utils
mmengine.device.utils.DEVICE = "mps"  # as on a Mac: `devices: cpu` must not move the model there
from isnet.inference import inference_cost
inference_cost._MAX_ROUNDS = 3
for stage in ("train", "evaluate"):
    assert main([stage, "--run", "one"]) == 0, stage
for command in ("report", "status"):
    assert main([command]) == 0, command
"""


def _environment(threads: int) -> dict[str, str]:
    path = os.pathsep.join(map(str, (REPOSITORY / "tests/support/macos", REPOSITORY)))
    threading = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    return os.environ | {"PYTHONPATH": path} | threading


def test_the_stages_run_without_the_functions_of_linux(
    checkout: Path, edit: Callable[[str, str], None]
) -> None:
    edit("{max_iters: 6, val_interval: 3}", "{max_iters: 2, val_interval: 2}")
    # Two threads: one loader worker, which is spawned.
    command = [sys.executable, "-c", STAGES]
    done = subprocess.run(command, env=_environment(2), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert Path("results/runs/one/evaluate/metrics.json").is_file()
    assert Path("reports/runs/one.html").is_file()


def test_a_child_ends_with_its_parent_without_prctl() -> None:
    child = (
        "import os, signal, time; from isnet.distributed.rank import end_with_parent; "
        "end_with_parent(signal.SIGKILL, os.getppid()); print(os.getpid(), flush=True); "
        "time.sleep(600)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", parent]
    options = {"env": _environment(1), "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **options) as process:  # type: ignore[call-overload]
        pid = int(process.stdout.readline())
        process.kill()
    for _ in range(600):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} outlived its parent")


def test_a_lock_of_an_ended_process_is_seen_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_owner, "_PROC", Path("/none"))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        fields = vars(LockOwner.here()) | {"pid": process.pid}
        owner = LockOwner(**fields | {"started": lock_owner._start_of(process.pid)})
        assert owner.is_running()
        assert not LockOwner(**fields).is_running()  # another process got this pid
        process.communicate(b"\n")
    assert not owner.is_running()

"""No two runs share a GPU, and none waits for ever. A stand-in for NVML shows the GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest
from log_lines import record_log
from stand_in_gpus import show_gpus

from isnet.distributed.gpu_lease import gpu_lease
from isnet.errors import UserError

LEASE = """
import logging, os, sys, subprocess
from isnet.distributed.gpu_lease import gpu_lease
logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
with gpu_lease(int(sys.argv[1])) as names:
    seen = subprocess.run([sys.executable, "-c", "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"], capture_output=True, text=True).stdout.strip()
    assert seen == ",".join(names)
    print(" ".join(["has", *names]), flush=True)
    sys.stdin.readline()
"""
Grant = tuple[subprocess.Popen[str], list[str]]
"""A run and the GPUs granted to it."""
UUID = "GPU-{0}{0}{0}{0}{0}{0}{0}{0}-1111-2222-3333-444444444444"


@pytest.fixture(autouse=True)
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Own leases, no Slurm, four GPUs without a driver that names them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    show_gpus(monkeypatch, None)


def _start(count: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LEASE, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _granted(process: subprocess.Popen[str]) -> str:
    """Return the grant of a waiting run, after its log lines."""
    while (line := _said(process)).startswith("waits"):
        pass
    return line


def _end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.communicate("\n")
        assert process.returncode == 0


def _granted_later(process: subprocess.Popen[str], grants: Queue[Grant]) -> None:
    # In a thread: a line that is read without blocking may be half of one (PYTHONUNBUFFERED).
    grants.put((process, _granted(process).split()[1:]))


def test_six_runs_never_share_four_gpus(tmp_path: Path) -> None:
    grants: Queue[Grant] = Queue()
    for _ in range(6):
        Thread(target=_granted_later, args=(_start(2), grants), daemon=True).start()
    used: set[str] = set()
    holding: list[Grant] = []
    for granted in range(1, 7):
        process, names = grants.get(timeout=120)
        assert not used & set(names), (used, names)
        assert len(names) == 2
        used |= set(names)
        holding.append((process, names))
        # The second pair is granted while the first is held: no run waits beside free GPUs.
        while len(holding) == 2 or (granted == 6 and holding):
            process, names = holding.pop(0)
            used -= set(names)
            _end(process)
    assert not list((tmp_path / "cache" / "isnet" / "gpus").iterdir())


def test_a_waiting_run_names_the_owner_and_starts_when_that_is_killed() -> None:
    first = _start(4)
    assert _said(first) == "has 0 1 2 3"
    second = _start(3)
    told = _said(second)
    assert told.startswith(f"waits for 3 of 4 GPUs, held by process {first.pid} (isnet"), told
    first.kill()
    first.communicate()
    assert _granted(second) == "has 0 1 2"
    _end(second)


def test_a_run_that_needs_many_is_not_overtaken() -> None:
    small = _start(1)
    assert _said(small) == "has 0"
    large = _start(4)
    assert _said(large).startswith("waits for 4 of 4 GPUs")
    later = _start(1)
    assert f"process {large.pid}" in _said(later)
    _end(small)
    assert _granted(large) == "has 0 1 2 3"
    _end(large)
    assert _granted(later) == "has 0"
    _end(later)


def test_more_gpus_than_are_visible_are_refused_at_once() -> None:
    holder = _start(4)
    assert _said(holder) == "has 0 1 2 3"
    with pytest.raises(UserError, match=r"5 GPUs are requested, there are 4 in CUDA_VISIBLE_DEV"):
        with gpu_lease(5):
            pass
    _end(holder)


def test_the_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    with gpu_lease(1) as names:
        assert (names, os.environ["CUDA_VISIBLE_DEVICES"]) == (["0"], "0")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"
    with gpu_lease(0) as names:
        assert (names, os.environ["CUDA_VISIBLE_DEVICES"]) == ([], "0,1,2,3")


class _WaitsError(Exception):
    """Raised in place of waiting."""


def _waits(line: str) -> None:
    raise _WaitsError(line)


def test_an_index_and_a_uuid_of_one_gpu_exclude_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    show_gpus(monkeypatch, [{"uuid": UUID.format(number)} for number in range(2)])
    first = _start(1, CUDA_VISIBLE_DEVICES="1")
    assert _said(first) == f"has {UUID.format(1)}"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1111")
    record_log(_waits)
    with pytest.raises(_WaitsError), gpu_lease(1):
        pass
    _end(first)


def test_runs_of_one_slurm_job_exclude_each_other_and_jobs_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = _start(4, SLURM_JOB_ID="11")
    assert _said(first) == "has 0 1 2 3"
    other = _start(4, SLURM_JOB_ID="12")
    assert _said(other) == "has 0 1 2 3"
    same = _start(1, SLURM_JOB_ID="11")
    assert _said(same).startswith("waits for 1 of 4 GPUs")
    _end(first, other, same)


def test_runs_are_served_in_the_order_of_their_arrival() -> None:
    first = _start(3)
    assert _said(first) == "has 0 1 2"
    waiting = []
    for _ in range(4):
        waiting.append(_start(2))
        assert _said(waiting[-1]).startswith("waits for 2 of 4 GPUs")
    _end(first)
    for one, other in zip(waiting[::2], waiting[1::2], strict=True):
        assert {_granted(one), _granted(other)} == {"has 0 1", "has 2 3"}
        _end(one, other)


def test_a_waiting_run_is_not_overtaken_by_one_that_chooses_from_fewer_gpus() -> None:
    small = _start(1, CUDA_VISIBLE_DEVICES="0")
    assert _said(small) == "has 0"
    large = _start(2, CUDA_VISIBLE_DEVICES="0,1")
    assert _said(large).startswith("waits for 2 of 2 GPUs")
    later = _start(1, CUDA_VISIBLE_DEVICES="1")
    assert f"process {large.pid}" in _said(later)
    apart = _start(2, CUDA_VISIBLE_DEVICES="2,3")
    assert _said(apart) == "has 2 3"
    _end(small, apart)
    assert _granted(large) == "has 0 1"
    _end(large)
    assert _granted(later) == "has 1"
    _end(later)

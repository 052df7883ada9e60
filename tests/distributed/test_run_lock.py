"""One process at a time trains a run, also after deaths of processes and machines."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from isnet.distributed.run_lock import run_lock, run_lock_owner
from isnet.errors import UserError
from isnet.io.lock_owner import LockOwner

HOLD = """
import sys, pathlib
from isnet.distributed.run_lock import run_lock
from isnet.errors import UserError
try:
    with run_lock("one", pathlib.Path(sys.argv[1])):
        {inside}
        print("held", flush=True)
        sys.stdin.readline()
except UserError as error:
    print(error, flush=True)
    sys.exit(2)
"""


def _start(work: Path, inside: str = "pass") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD.format(inside=inside), str(work)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def _holder(work: Path, inside: str = "pass") -> Iterator[subprocess.Popen[str]]:
    process = _start(work, inside)
    try:
        assert _said(process) == "held"
        yield process
    finally:
        process.kill()
        process.communicate()


def _refusal(work: Path) -> str:
    with pytest.raises(UserError) as caught, run_lock("one", work):
        pass
    return str(caught.value)


def _other_machine(work: Path, *, silent_for: float = 0.0, **facts: object) -> None:
    """Write the record of an owner whose kernel locks are not visible here."""
    work.mkdir(parents=True, exist_ok=True)
    other = {"host": "node7", "boot": "another", "job": "", **facts}
    path = work / "holder.json"
    path.write_text(json.dumps(json.loads(LockOwner.here().text) | other))
    moment = time.time() - silent_for
    os.utime(path, (moment, moment))


def test_the_refusal_names_the_owner_its_start_and_its_iteration(tmp_path: Path) -> None:
    with _holder(tmp_path) as process:
        (tmp_path / "journal.jsonl").write_text('{"kind": "train", "iteration": 1200}\n{"torn')
        line = _refusal(tmp_path)
    since = r"(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d"
    host = re.escape(os.uname().nodename)
    told = rf"run one is being trained by process {process.pid} on {host} since {since}, at iteration 1200\. .*kill {process.pid}"
    assert re.fullmatch(told, line), line


def test_one_of_eight_processes_at_once_gets_the_lock(tmp_path: Path) -> None:
    for attempt in range(3):
        work = tmp_path / str(attempt)
        processes = [_start(work) for _ in range(8)]
        said = [_said(process) for process in processes]
        winners = [p for p, line in zip(processes, said, strict=True) if line == "held"]
        assert len(winners) == 1, said
        named = f"process {winners[0].pid} "
        assert all(named in line for line in said if line != "held"), said
        codes = [process.wait() for process in processes if process not in winners]
        assert codes == [2] * 7
        winners[0].communicate("\n")
        assert winners[0].returncode == 0
        assert not (work / "holder.json").exists()


@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_dead_owner_is_taken_over(tmp_path: Path, fatal: signal.Signals) -> None:
    with _holder(tmp_path) as process:
        assert run_lock_owner(tmp_path) is not None
        process.send_signal(fatal)
        process.wait()
        assert run_lock_owner(tmp_path) is None
        with run_lock("one", tmp_path):
            holder = run_lock_owner(tmp_path)
            assert holder is not None
            assert holder.pid == os.getpid()


def test_a_forked_worker_that_outlives_its_trainer_owns_no_lock(tmp_path: Path) -> None:
    fork = (
        "import os, time\n"
        "        worker = os.fork()\n"
        "        ready = pathlib.Path(sys.argv[1], 'ready')\n"
        "        if not worker: ready.touch(), os.close(0), os.close(1), time.sleep(60), os._exit(0)\n"
        "        pathlib.Path(sys.argv[1], 'worker').write_text(str(worker))"
    )
    with _holder(tmp_path, fork) as process:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        process.kill()
        process.wait()
        worker = int((tmp_path / "worker").read_text())
        try:
            with run_lock("one", tmp_path):
                assert _state(worker) != "Z"
        finally:
            os.kill(worker, signal.SIGKILL)


def test_child_processes_of_a_killed_launcher_keep_its_lock(tmp_path: Path) -> None:
    start = (
        "import subprocess; from isnet.io.lock_owner import lock_descriptors\n"
        "        null = subprocess.DEVNULL\n"
        "        child = subprocess.Popen(['sleep', '60'], stdin=null, stdout=null, pass_fds=lock_descriptors())\n"
        "        pathlib.Path(sys.argv[1], 'child').write_text(str(child.pid))"
    )
    with _holder(tmp_path, start) as process:
        process.kill()
        process.wait()
        child = int((tmp_path / "child").read_text())
        assert "its child processes still run" in _refusal(tmp_path)
        os.kill(child, signal.SIGKILL)
        end = time.monotonic() + 30
        while _state(child) != "Z":
            assert time.monotonic() < end
            time.sleep(0.01)
        with run_lock("one", tmp_path):
            pass


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_other_nodes_and_child_processes_need_no_lock(tmp_path: Path) -> None:
    with _holder(tmp_path), run_lock("one", tmp_path, node=1):
        pass
    with run_lock("one", tmp_path):
        inner = _start(tmp_path)
        assert _said(inner) == "held"
        inner.communicate("\n")
        assert run_lock_owner(tmp_path) is not None


def test_a_living_owner_on_another_machine_keeps_its_lock(tmp_path: Path) -> None:
    _other_machine(tmp_path, silent_for=100, pid=77)
    line = _refusal(tmp_path)
    assert "process 77 on node7" in line
    assert re.search(r"last sign of life is 1\d\d s old, and it counts as dead after 600 s", line)
    assert run_lock_owner(tmp_path) is not None
    assert run_lock_owner(tmp_path).pid == 77  # type: ignore[union-attr]


@pytest.mark.parametrize("why", ["silent", "requeued", "rebooted", "same kernel", "torn"])
def test_a_dead_owner_on_another_machine_is_replaced(
    tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = LockOwner.here()
    if why == "silent":
        _other_machine(tmp_path, silent_for=601)
    elif why == "requeued":
        monkeypatch.setenv("SLURM_JOB_ID", "4711")
        _other_machine(tmp_path, job="4711")
    elif why == "rebooted":
        monkeypatch.setattr(time, "clock_gettime", lambda clock: 50.0)
        _other_machine(tmp_path, host=here.host, silent_for=60)
    elif why == "same kernel":  # a container that was started again, under a new name
        _other_machine(tmp_path, boot=here.boot, namespace="pid:[1]")
    else:
        (tmp_path / "holder.json").write_text("")
    with run_lock("one", tmp_path):
        holder = run_lock_owner(tmp_path)
        assert holder is not None
        assert replace(holder, since=0.0) == replace(LockOwner.here(), since=0.0)
    assert not (tmp_path / "holder.json").exists()
    assert not list(tmp_path.glob(".holder*"))


def test_a_faster_process_on_another_machine_keeps_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_dead(holder: LockOwner, work: Path, **how: bool) -> bool:
        _other_machine(work, pid=88)  # after we have looked, before we act
        return True

    _other_machine(tmp_path, pid=77, silent_for=601)
    monkeypatch.setattr("isnet.distributed.run_lock._is_dead", is_dead)
    assert "process 88 on node7" in _refusal(tmp_path)
    assert '"pid": 88' in (tmp_path / "holder.json").read_text()


def test_the_heartbeat_touches_only_the_own_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isnet.distributed.run_lock._BEAT_SECONDS", 0.01)
    record = tmp_path / "holder.json"
    with run_lock("one", tmp_path):
        os.utime(record, (0, 0))
        end = time.monotonic() + 30
        while record.stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
        record.unlink()
        _other_machine(tmp_path, silent_for=1000)
        before = record.stat().st_mtime
        time.sleep(0.1)
        assert record.stat().st_mtime == before
    assert record.exists()

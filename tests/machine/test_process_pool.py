"""Worker processes: Ctrl-C does not reach them, and the death of one is an error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from isnet.errors import UserError
from isnet.machine import process_pool


def _nothing() -> None:
    """Initialize nothing."""


def _receives_ctrl_c(item: int) -> bool:
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_reaches_no_worker() -> None:
    """Also while it starts, when Python would print a traceback."""
    done = process_pool.map_in_processes(
        _receives_ctrl_c, [1, 2], 2, initializer=_nothing, initargs=()
    )
    assert [heard for _, heard in done] == [False, False]
    assert _receives_ctrl_c(0)


def _die(item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_killed_worker_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 processes: a worker process was killed"):
        list(process_pool.map_in_processes(_die, [1], 2, initializer=_nothing, initargs=()))


STARTING = """
import os, signal, threading, time
from isnet.machine.process_pool import map_in_processes

# As a progress bar has one: Ctrl-C is not held back from it.
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()

def items():
    yield 1
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
    yield 2
    print("all have started")

try:
    list(map_in_processes(abs, items(), 2, initializer=abs, initargs=(0,)))
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_waits_until_the_processes_have_started() -> None:
    """A worker that starts when its parent no longer waits would print a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", STARTING], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("all have started\nstopped\n", "")


def test_without_items_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_pool, "ProcessPoolExecutor", None)
    assert [*process_pool.map_in_processes(abs, [], 2)] == []

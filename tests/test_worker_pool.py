"""The processes of a stage: Ctrl-C does not reach them, and what kills one is told."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from isnet import worker_pool
from isnet.errors import UserError


def _nothing() -> None:
    """Every process is ready."""


def _hears_ctrl_c(item: int) -> bool:
    return signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_ctrl_c_reaches_no_worker() -> None:
    """Also while it starts, when Python would print a traceback."""
    done = worker_pool.in_processes(_hears_ctrl_c, [1, 2], 2, prepare=_nothing, prepare_with=())
    assert [heard for _, heard in done] == [False, False]
    assert _hears_ctrl_c(0)


def _die(item: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_a_worker_that_memory_killed_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 processes: a worker process was killed"):
        list(worker_pool.in_processes(_die, [1], 2, prepare=_nothing, prepare_with=()))


def test_ctrl_c_waits_until_the_processes_have_started() -> None:
    """One that starts when nobody waits for it any more prints a traceback."""
    over, started = threading.Event(), []
    bar = threading.Thread(target=over.wait)  # a thread that Ctrl-C is not held back from
    bar.start()

    def items() -> Iterator[int]:
        yield 1
        os.kill(os.getpid(), signal.SIGINT)
        yield from range(2, 1000)
        started.append("all")

    with pytest.raises(KeyboardInterrupt):
        list(worker_pool.in_processes(_hears_ctrl_c, items(), 2, prepare=_nothing, prepare_with=()))
    over.set()
    bar.join()
    assert started == ["all"]

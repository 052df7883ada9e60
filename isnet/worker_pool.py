"""Worker processes of a stage that end with it, however it ends, and are silent about it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from isnet.errors import UserError

__all__ = ["in_processes"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    prepare: Callable[..., None],
    prepare_with: tuple[Any, ...],
) -> Generator[tuple[Item, Result]]:
    """Do `work` on every item; yield item and result as they are done.

    Args:
        work: a function of a module; what it raises is raised here, and ends all.
        items: what it is called with.
        workers: number of processes.
        prepare: called once in each process, with `prepare_with`.

    Raises:
        UserError: a process was killed.
    """
    # Not fork: the caller may hold threads (torch, a progress bar), which do not survive it.
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(
        workers, context, initializer=_start, initargs=(prepare, prepare_with)
    )
    try:
        with _interrupts_held_back():
            futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenProcessPool:
        raise UserError(
            "a worker process was killed",
            where=f"{workers} processes",
            cure="Probably memory ran out: the same command goes on, and takes less of it with "
            "OMP_NUM_THREADS=1 before it",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let processes start that Ctrl-C does not reach: they would each print a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(prepare: Callable[..., None], prepare_with: tuple[Any, ...]) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    prepare(*prepare_with)


def _leave_with_parent() -> None:
    """A pool's processes would wait for ever for work from a parent that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

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

__all__ = ["map_in_processes"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    initializer: Callable[..., None],
    initargs: tuple[Any, ...],
) -> Generator[tuple[Item, Result]]:
    """Do `work` on every item; yield item and result as they are done.

    Args:
        work: a function of a module; what it raises is raised here, and ends all.
        items: what it is called with.
        workers: number of processes.
        initializer: called once in each process, with `initargs`.

    Raises:
        UserError: a process was killed.
    """
    # Not fork: the caller may hold threads (torch, a progress bar), which do not survive it.
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(
        workers, context, initializer=_start, initargs=(initializer, initargs)
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
            hint="Probably memory ran out: the same command goes on, and takes less of it with "
            "OMP_NUM_THREADS=1 before it",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let processes start that Ctrl-C does not reach, and let it wait until they have started:
    those that it reaches print a traceback each, as do those whose parent does not wait for them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _noted_for_later():
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _noted_for_later() -> Iterator[None]:
    """Hold back what another thread's mask lets in, too: a progress bar has one."""
    if threading.current_thread() is not threading.main_thread():
        yield  # an interrupt is the main thread's
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)  # it arrives when the mask is lifted


def _start(prepare: Callable[..., None], prepare_with: tuple[Any, ...]) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    prepare(*prepare_with)


def _leave_with_parent() -> None:
    """A pool's processes would wait for ever for work from a parent that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

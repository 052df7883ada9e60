"""A pool of worker processes that end when their parent ends, and that ignore Ctrl-C."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import cv2

from isnet.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(
    work: Callable[[Item], Result],
    items: Collection[Item],
    workers: int,
    *,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] = (),
) -> Generator[tuple[Item, Result]]:
    """Call `work` for each item in worker processes; yield `(item, result)` as each call ends.

    `work` is a module-level function or a `partial` of one. Its first exception ends the map and is
    raised here. Each of the `workers` processes calls `initializer(*initargs)` once at its start.

    Raises:
        UserError: a process was killed.
    """
    if not items:
        return
    # Not fork: the caller may have threads (torch, a progress bar), which a fork does not copy.
    context = multiprocessing.get_context("forkserver")
    # Imported once, by the server that the workers are forked from.
    context.set_forkserver_preload(["cv2", getattr(work, "func", work).__module__])
    pool = ProcessPoolExecutor(
        workers, context, initializer=_initialize, initargs=(initializer, initargs)
    )
    try:
        with _defer_interrupts():
            futures = {pool.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenProcessPool:
        hint = "the same command continues, and needs less with OMP_NUM_THREADS=1 before it"
        hint = f"Memory has probably run out: {hint}"
        where = f"{workers} processes"
        raise UserError("a worker process was killed", where=where, hint=hint) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _defer_interrupts() -> Iterator[None]:
    """Defer SIGINT until all workers have started. The workers inherit a mask that blocks SIGINT.

    Otherwise a worker prints a traceback if it receives SIGINT, or if it starts when its parent no
    longer waits.
    """
    received: list[int] = []
    is_main = threading.current_thread() is threading.main_thread()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    if is_main:
        # The mask is this thread's; a progress bar has another one, which lets the signal in.
        handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)  # delivered when the mask is restored
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _initialize(initializer: Callable[..., None] | None, initargs: tuple[Any, ...]) -> None:
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # the processes already use every core
    if initializer is not None:
        initializer(*initargs)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)  # else this worker would wait for work for ever

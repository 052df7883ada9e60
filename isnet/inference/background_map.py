"""Work on one item while the next is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["map_in_background"]

T = TypeVar("T")
R = TypeVar("R")


def map_in_background(items: Iterable[T], work: Callable[[T], R]) -> Iterator[R]:
    """Yield `work(item)` for each item in order; a thread does it while the next item is made.

    For a network on a GPU and counting on the CPU, neither of which holds Python's lock for long.
    At most one item waits, so memory does not grow. What `work` raises is raised here.
    """
    with ThreadPoolExecutor(1) as thread:
        running: Future[R] | None = None
        for item in items:
            behind, running = running, thread.submit(work, item)
            if behind is not None:
                yield behind.result()
        if running is not None:
            yield running.result()

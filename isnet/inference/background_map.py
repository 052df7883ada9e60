"""Ordered map whose work runs in threads while the next items are produced."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_in_background(items: Iterable[T], work: Callable[[T], R], threads: int = 1) -> Iterator[R]:
    """Yield `work(item)` of each item in order, computed while the next `threads` items are
    produced.

    For work that releases Python's lock (decoding, counting) beside a network. No more items than
    `threads` wait, so that memory does not grow. An exception of `work` is raised here.
    """
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

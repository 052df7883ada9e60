"""Ordered map that runs a function in threads while the next items are produced."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_in_background(items: Iterable[T], work: Callable[[T], R], threads: int = 1) -> Iterator[R]:
    """Apply `work` to each item in background threads, and yield the results in order.

    A result is computed while the next `threads` items are produced; no more wait, which bounds
    memory. This suits work that releases Python's global lock (decoding, counting). Exceptions of
    `work` are raised here.
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

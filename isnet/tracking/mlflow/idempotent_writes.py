"""What several feeders may make at once: locks on one machine, between machines the older stays."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

__all__ = ["CREATED", "all_pages", "lock_on", "make_once", "oldest_first"]

CREATED = "isnet.created"
"""A tag, in Unix nanoseconds: of two things that are one, all feeders keep the older."""


@contextlib.contextmanager
def lock_on(folder: Path, name: str = "mlflow") -> Iterator[None]:
    """Keep others on this machine from making the same, for ten seconds at most."""
    lock = FileLock(folder / f".{name}.lock")
    with contextlib.suppress(OSError, NotImplementedError, Timeout):
        # A file system without locks, or a feeder that hangs: searching again must do.
        lock.acquire(timeout=10)
    try:
        yield
    finally:
        lock.release()


def make_once(is_there: Callable[[], bool], make: Callable[[], Any]) -> None:
    """Make what is not there. MLflow refuses the second of two who do so at once: that one sees
    that it is there now.
    """
    if is_there():
        return
    try:
        make()
    except Exception:
        if not is_there():
            raise


def oldest_first(runs: Iterable[Any]) -> list[Any]:
    """Return MLflow's runs in the order on which all feeders agree."""
    return sorted(runs, key=lambda run: (int(run.data.tags.get(CREATED, 0)), str(run.info.run_id)))


def all_pages(search: Callable[[str | None], Any]) -> list[Any]:
    """Return what a search of MLflow finds on all its pages; `search` is given a page's token."""
    found, token = [], None
    while True:
        page = search(token)
        found += page
        token = page.token
        if not token:
            return found

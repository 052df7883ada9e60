"""What several feeders may make at once: locks on one machine, between machines the older stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["CREATED", "lock_on"]

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

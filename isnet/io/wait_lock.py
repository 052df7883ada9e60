"""One process at a time at one file or folder; the others wait and say for whom."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from isnet.io.disk_space import explain_write_errors

__all__ = ["exclusive"]

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, `.NAME.lock` beside it; a dead process gives it back by itself.

    Args:
        path: the file or folder that is about to be made.
    """
    place = path.with_name(f".{path.name}.lock")
    lock = FileLock(place, poll_interval=0.2)
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _acquire(lock, place, path)
    try:
        yield
    finally:
        # While it is held: who waits for this file sees that it is gone, and makes a new one.
        place.unlink(missing_ok=True)
        lock.release()


def _acquire(lock: BaseFileLock, place: Path, path: Path) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        _log.info(f"waits: {_holder(place)} is at {path}")
        lock.acquire()
    if not place.stat().st_size:  # without flock, filelock itself writes who holds it
        place.write_text(f"{os.getpid()}\n{socket.gethostname()}\n")


def _holder(place: Path) -> str:
    try:
        number, host = place.read_text().split()[:2]
    except (OSError, ValueError):  # just made, or just gone
        return "another process"
    return f"process {number} on {host}"

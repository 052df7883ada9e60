"""Locks a file or folder; waits if another process has locked it, and logs that process's id."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from isnet.io.disk_space import explain_write_errors

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lock `path` against other processes and threads, by a lock file `.NAME.lock` beside `path`.

    If another process has the lock, this waits. When a process dies, the system releases its lock.
    `path` is the file or folder that the caller is about to create.
    """
    lock_file = path.with_name(f".{path.name}.lock")
    lock = FileLock(lock_file, poll_interval=0.2)
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            owner = " on ".join(_wait_for_owner(lock_file))
            _log.info(f"waits for {f'process {owner}' if owner else 'another process'}, at {path}")
            lock.acquire()
        if _read_owner(lock_file)[:1] != [str(os.getpid())]:  # filelock writes it without flock
            lock_file.write_text(f"{os.getpid()}\n{socket.gethostname()}\n")
    try:
        yield
    finally:
        # Before the release: a waiting process detects that the file is gone, and makes a new one.
        lock_file.unlink(missing_ok=True)
        lock.release()


def _wait_for_owner(lock_file: Path) -> list[str]:
    """Return the owner of a lock, which it writes just after it has got the lock."""
    for _ in range(10):
        if owner := _read_owner(lock_file):
            return owner
        time.sleep(0.02)
    return []


def _read_owner(lock_file: Path) -> list[str]:
    """Return pid and host of the owner; none if the lock was created or released just now."""
    try:
        return lock_file.read_text().split()[:2]
    except (OSError, ValueError):
        return []

"""Lock files, and a JSON record of the process that holds a lock.

A process can share its locks with child processes. The record identifies the holder of a lock, so
that other processes and machines can tell whether the holder still runs.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from filelock import lock_descriptor

_PROC = Path("/proc")
_OPEN: set[int] = set()
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


def lock_descriptors() -> tuple[int, ...]:
    """Return the descriptors of all files that this process has locked.

    Pass them as `pass_fds` to `subprocess.Popen` to share the locks with a child process. If this
    process is killed, the files then stay locked until the child process has ended too.
    """
    return tuple(_OPEN)


def _close_in_child() -> None:
    """Close the lock files in a forked process, so that only its parent holds the locks.

    Otherwise a data loader worker that outlives its parent would keep the files locked.
    """
    for descriptor in _OPEN:
        os.close(descriptor)
    _OPEN.clear()


os.register_at_fork(after_in_child=_close_in_child)


class LockedFile:
    """A file that is locked with `flock` until the last copy of its descriptor is closed.

    Unlike that of `filelock.FileLock`, the descriptor can be passed to child processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool | None:
        """Try to lock the file, without waiting.

        Returns True if this process now holds the lock, False if another process holds it, and None
        if the file system has no locks. Raises OSError if the file cannot be created.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                is_locked = lock_descriptor(descriptor, blocking=False)
                is_removed = os.fstat(descriptor).st_nlink == 0  # by its last owner, just now
            except OSError as error:
                os.close(descriptor)
                if error.errno in _NO_LOCKS:
                    return None
                raise
            if is_locked and not is_removed:
                self._descriptor = descriptor
                _OPEN.add(descriptor)
                return True
            os.close(descriptor)
            if not is_locked:
                return False

    def write(self, text: str) -> None:
        """Replace the content of the locked file."""
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self, *, remove: bool = False) -> None:
        """Unlock the file if this object has locked it. With `remove`, delete it first."""
        if self._descriptor is None:
            return
        if remove and os.fstat(self._descriptor).st_nlink:
            self.path.unlink()
        _OPEN.discard(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None


@dataclass(frozen=True)
class LockOwner:
    """Record of a process that holds a lock, stored as JSON in a file."""

    host: str
    boot: str
    """Boot id of the kernel. Containers of one machine share it, but not the host name."""
    namespace: str
    """PID namespace of the process. In another namespace, `pid` is another process."""
    pid: int
    started: str
    """Start time of the process, because pids are reused.

    In clock ticks since boot; on macOS as Unix time.
    """
    since: float
    """Unix time in seconds at which the process got the lock."""
    command: str
    job: str
    """Slurm job id, which a requeued job keeps. Empty outside of Slurm."""

    @classmethod
    def here(cls, **more: Any) -> Self:
        """Create the record of the current process; `more` sets the fields that a subclass adds."""
        host, boot, namespace = socket.gethostname(), "", ""
        with contextlib.suppress(OSError):  # a sandbox may not have them
            boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
            namespace = str((_PROC / "self/ns/pid").readlink())
        return cls(
            host=host,
            boot=boot or host,
            namespace=namespace,
            pid=os.getpid(),
            started=_start_of(os.getpid()),
            since=time.time(),
            command=" ".join(["isnet", *sys.argv[1:]]),
            job=os.environ.get("SLURM_JOB_ID", ""),
            **more,
        )

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read the record stored in `path`; return None if the file is absent or incomplete."""
        try:
            stored: dict[str, Any] = json.loads(path.read_text())
            return cls(**{field.name: stored[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def text(self) -> str:
        """The record as a line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    def shares_kernel(self, other: LockOwner) -> bool:
        """Return whether both processes run on one machine, so that `flock` works between them."""
        return self.boot == other.boot

    def shares_pids(self, other: LockOwner) -> bool:
        """Return whether both processes are in one PID namespace of one machine."""
        return self.shares_kernel(other) and self.namespace == other.namespace

    def is_running(self) -> bool:
        """Return whether the recorded process still runs.

        The result is valid only if `shares_pids` is true for the record and the current process.
        """
        return _start_of(self.pid) == self.started


def format_time(seconds: float) -> str:
    """Format a Unix time as local time, with the date unless that is today's."""
    moment = datetime.fromtimestamp(seconds)
    is_today = moment.date() == datetime.now().date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S}"


def _start_of(pid: int) -> str:
    if _PROC.is_dir():
        with contextlib.suppress(OSError):
            state, *rest = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
            return rest[18] if state not in "ZX" else "ended"
        return "ended"
    import psutil  # not on Linux: there the clock's corrections change this time

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return str(process.create_time())
    return "ended"

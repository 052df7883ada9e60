"""Lock files that one process owns, together with the child processes it shares them with; and the
record of an owner, by which other machines can tell whether it runs.
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

_OPEN: set[int] = set()
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


def lock_descriptors() -> tuple[int, ...]:
    """Return the descriptors of all files locked here, for `pass_fds=` of `subprocess.Popen`.

    If this process is killed, the files stay locked until those child processes have ended too.
    """
    return tuple(_OPEN)


def _close_in_child() -> None:
    """Drop the locks in a forked process: a data loader worker may outlive its parent."""
    for descriptor in _OPEN:
        os.close(descriptor)
    _OPEN.clear()


os.register_at_fork(after_in_child=_close_in_child)


class LockedFile:
    """A file under `flock`; the kernel unlocks it when its last descriptor is closed.

    Unlike `filelock.FileLock`, its descriptor can be passed to child processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool | None:
        """Lock the file without waiting.

        Returns:
            False if another process has locked it; None if the file system has no locks.

        Raises:
            OSError: the file cannot be created.
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
        """Unlock the file if it is locked here; `remove` deletes it first."""
        if self._descriptor is None:
            return
        if remove and os.fstat(self._descriptor).st_nlink:
            self.path.unlink()
        _OPEN.discard(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None


@dataclass(frozen=True)
class LockOwner:
    """A process that owns a lock."""

    host: str
    boot: str
    """Id of the running kernel: containers of one machine share it, under several host names."""
    namespace: str
    """PID namespace: in another container `pid` is another process."""
    pid: int
    started: str
    """Start of the process in clock ticks, because pids are reused."""
    since: float
    """Unix time in seconds at which it got the lock."""
    command: str
    job: str
    """Slurm job, which keeps its number when it is requeued; empty outside of Slurm."""

    @classmethod
    def here(cls, **more: Any) -> Self:
        """Return this process as the owner from now on; `more` are fields of a subclass."""
        host, boot, namespace = socket.gethostname(), "", ""
        with contextlib.suppress(OSError):  # a sandbox may not have them
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            namespace = str(Path("/proc/self/ns/pid").readlink())
        return cls(
            host=host,
            boot=boot or host,
            namespace=namespace,
            pid=os.getpid(),
            started=_start_ticks(os.getpid()),
            since=time.time(),
            command=" ".join(["isnet", *sys.argv[1:]]),
            job=os.environ.get("SLURM_JOB_ID", ""),
            **more,
        )

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return the owner stored in `path`; None if the file is absent or incomplete."""
        try:
            stored: dict[str, Any] = json.loads(path.read_text())
            return cls(**{field.name: stored[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def text(self) -> str:
        """JSON for the owner's file."""
        return json.dumps(asdict(self)) + "\n"

    def shares_kernel(self, other: LockOwner) -> bool:
        """Whether both run on one machine, so that kernel locks work between them."""
        return self.boot == other.boot

    def shares_pids(self, other: LockOwner) -> bool:
        """Whether each process sees the other's pid."""
        return self.shares_kernel(other) and self.namespace == other.namespace

    def is_running(self) -> bool:
        """Whether the process runs; only for an owner that shares pids with this process."""
        return _start_ticks(self.pid) == self.started


def format_time(seconds: float) -> str:
    """Format a Unix time as local time, with the date if it is not today."""
    moment = datetime.fromtimestamp(seconds)
    is_today = moment.date() == datetime.now().date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S}"


def _start_ticks(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "ended" if it runs no longer."""
    with contextlib.suppress(OSError):
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if state not in "ZX":
            return rest[18]
    return "ended"

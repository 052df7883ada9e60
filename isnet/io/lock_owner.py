"""The owner of a lock: a process, described so that other machines can tell whether it runs."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Self


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
    """Start of the process in clock ticks, because pids are reused; empty if unknown."""
    since: float
    """Unix time in seconds at which it got the lock."""
    command: str
    job: str
    """Slurm job, which keeps its number when it is requeued; empty outside of Slurm."""

    @classmethod
    def here(cls, **more: Any) -> Self:
        """Return this process as the owner from now on; `more` are fields of a subclass."""
        host = socket.gethostname()
        return cls(
            host=host,
            boot=_read("/proc/sys/kernel/random/boot_id") or host,
            namespace=_namespace(),
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
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return not self.started or _start_ticks(self.pid) == self.started


def format_time(seconds: float) -> str:
    """Format a Unix time as local time, with the date if it is not today."""
    moment = datetime.fromtimestamp(seconds)
    is_today = moment.date() == datetime.now().date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S}"


def _start_ticks(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "ended" for a zombie."""
    after_name = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not after_name:
        return ""
    return "ended" if after_name[0] in "ZX" else after_name[19]


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""

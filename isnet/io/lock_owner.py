"""Who holds something: a process, so described that another machine can say whether it lives."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = ["LockOwner", "format_time"]


@dataclass(frozen=True)
class LockOwner:
    """A process, and since when it holds something."""

    host: str
    boot: str
    """Id of the running kernel: containers of one machine share it, under several host names."""
    namespace: str
    """Where `pid` counts: in another container it means another process."""
    pid: int
    started: str
    """When the process began, in ticks of its kernel: a pid is used again. Empty: unknown."""
    since: float
    """Unix seconds."""
    command: str
    job: str
    """Slurm's job; a requeued one keeps its number. Empty: none."""

    @classmethod
    def here(cls) -> LockOwner:
        """Return this process, from now on."""
        host = socket.gethostname()
        return cls(
            host=host,
            boot=_read("/proc/sys/kernel/random/boot_id") or host,
            namespace=_namespace(),
            pid=os.getpid(),
            started=_started(os.getpid()),
            since=time.time(),
            command=" ".join(["isnet", *sys.argv[1:]]),
            job=os.environ.get("SLURM_JOB_ID", ""),
        )

    @classmethod
    def read(cls, path: Path) -> LockOwner | None:
        """Return who wrote `path`; None where it is absent, or not whole."""
        try:
            found: dict[str, Any] = json.loads(path.read_text())
            return cls(**{field.name: found[field.name] for field in fields(cls)})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def text(self) -> str:
        """The holder as JSON, for its file."""
        return json.dumps(asdict(self)) + "\n"

    def shares_kernel(self, other: LockOwner) -> bool:
        """Whether both are on one running machine, where its kernel tells who holds a file."""
        return self.boot == other.boot

    def shares_pids(self, other: LockOwner) -> bool:
        """Whether each of the two can look for the other's pid."""
        return self.shares_kernel(other) and self.namespace == other.namespace

    def is_running(self) -> bool:
        """Say whether the process is there; only for a holder that shares pids."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return not self.started or _started(self.pid) == self.started


def format_time(seconds: float) -> str:
    """Return a moment as people read it, in local time; today's without its date."""
    moment = datetime.fromtimestamp(seconds)
    is_today = moment.date() == datetime.now().date()
    return f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S}"


def _started(pid: int) -> str:
    """Return when a process began; a zombie has ended."""
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

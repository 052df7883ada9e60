"""Assigns GPUs exclusively to processes, among all runs of one user on one machine.

Each process that needs GPUs has a lease file in the user's cache folder (not in `/run/user`, which
is deleted when the user's last session ends). The file lists the GPUs that the process may use and
those granted to it, and is locked until the process and its children have ended. GPUs are granted
under one mutex, in the order of arrival. A run waits behind an earlier run that waits for any of
the same GPUs, so that no run waits for ever.
"""

import contextlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from isnet.errors import UserError
from isnet.io.disk_space import explain_write_errors
from isnet.io.lock_owner import LockedFile, LockOwner, format_time
from isnet.machine.gpus import visible_gpus

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_MUTEX_POLL_SECONDS = 0.01
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextlib.contextmanager
def gpu_lease(count: int) -> Iterator[list[str]]:
    """Lease `count` of the visible GPUs to this process for the block, and yield their names.

    Waits until so many are free, and sets CUDA_VISIBLE_DEVICES to them. A count of 0 changes
    nothing. Enter the context before CUDA is initialised. Inside a Slurm job with its own devices,
    only runs of the same job compete, because Slurm assigns the other devices.

    Raises:
        UserError: fewer than `count` GPUs are visible.
    """
    if count == 0:
        yield []
        return
    given = os.environ.get(_VISIBLE)
    gpus = visible_gpus()
    if count > len(gpus):
        are = {0: "there are none", 1: "there is one"}.get(len(gpus), f"there are {len(gpus)}")
        among = f" in {_VISIBLE}={given}" if given is not None else ""
        what = f"{count} GPU{'s are' if count > 1 else ' is'} requested, {are}{among}"
        hint = "Write devices: cpu or fewer, or run it where the GPUs are"
        raise UserError(what, where="params.yaml: runs", hint=hint)
    job = os.environ.get("SLURM_JOB_ID", "") if given is not None else ""
    host, suffix = socket.gethostname(), f"-job{job}" if job else ""
    # An index is another GPU on each machine; a UUID is one on all of them.
    names = {(f"{host}-{gpu}" if gpu.isdecimal() else gpu) + suffix: gpu for gpu in gpus}
    file = LockedFile(_folder() / f"{time.time_ns()}-{os.getpid()}.lease")
    try:
        granted = [names[key] for key in _wait_for_grant(count, list(names), file)]
        os.environ[_VISIBLE] = ",".join(granted)
        yield granted
    finally:
        os.environ.pop(_VISIBLE, None)
        if given is not None:
            os.environ[_VISIBLE] = given
        file.release(remove=True)


@dataclass(frozen=True)
class _Lease(LockOwner):
    """The content of a lease file: a process, the GPUs that it may use, and those granted to it."""

    choice: list[str]
    granted: list[str]
    """Keys of the leased GPUs; empty while the process waits."""

    def __str__(self) -> str:
        if self.shares_pids(LockOwner.here()) and not self.is_running():
            return "other processes"  # children of a killed one
        since = f" since {format_time(self.since)}" if self.granted else ""
        return f"process {self.pid} ({self.command}){since}"


def _wait_for_grant(count: int, choice: list[str], file: LockedFile) -> list[str]:
    """Wait until `count` GPUs of `choice` are free and no earlier process waits for any of these.

    Returns the keys of the granted GPUs, which are also written to the lease file.
    """
    with explain_write_errors(file.path), _mutex(file.path.parent):
        file.acquire()
        file.write(_Lease.here(choice=choice, granted=[]).text)
    logged = ""
    while True:
        with explain_write_errors(file.path), _mutex(file.path.parent):
            others = _other_leases(file.path, choice)
            earlier = [lease for name, lease in others if name < file.path.name]
            first = next((lease for lease in earlier if not lease.granted), None)
            used = {key for _, lease in others for key in lease.granted}
            free = [key for key in choice if key not in used]
            granted = free[:count] if len(free) >= count and not first else []
            if granted:
                file.write(_Lease.here(choice=choice, granted=granted).text)
        if granted:
            return granted
        users = ", ".join(dict.fromkeys(str(lease) for _, lease in others if lease.granted))
        line = f"waits for {count} of {len(choice)} GPU{'s' * (len(choice) > 1)}"
        line += f", held by {users}" * bool(users) + f"; {first} comes first" * bool(first)
        if line != logged:
            _log.info(line)
            logged = line
        time.sleep(_POLL_SECONDS)


def _other_leases(own: Path, choice: list[str]) -> list[tuple[str, _Lease]]:
    """Return the leases of other processes that may use GPUs of `choice`, with their file names.

    Lease files of ended processes are deleted. Files with other GPUs are left alone, because the
    home folder may be shared with other machines, whose locks are not visible here.
    """
    leases: list[tuple[str, _Lease]] = []
    for path in sorted(own.parent.glob("*.lease")):
        lease = _Lease.read(path)
        if path == own or lease is None or set(choice).isdisjoint(lease.choice):
            continue
        file = LockedFile(path)
        if file.acquire():
            file.release(remove=True)
        else:
            leases.append((path.name, lease))
    return leases


@contextlib.contextmanager
def _mutex(folder: Path) -> Iterator[None]:
    """Hold the machine-wide lock for reading and writing the leases in a folder."""
    lock = LockedFile(folder / f"mutex-{LockOwner.here().boot}.lock")
    while not (is_locked := lock.acquire()):
        if is_locked is None:
            what = "GPUs cannot be shared out: this file system has no locks"
            hint = "Let XDG_CACHE_HOME name a folder on a disk of this machine"
            raise UserError(what, where=str(folder), hint=hint)
        time.sleep(_MUTEX_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release(remove=True)


def _folder() -> Path:
    """Create and return the folder of the leases, below the home or else the temporary folder."""
    home = user_cache_path("isnet") / "gpus"
    with contextlib.suppress(OSError):  # a container's home may not be writable
        home.mkdir(parents=True, exist_ok=True)
        if os.access(home, os.W_OK):
            return home
    other = Path(tempfile.gettempdir()) / f"isnet-gpus-{os.getuid()}"
    with explain_write_errors(other):
        other.mkdir(mode=0o700, exist_ok=True)
    return other

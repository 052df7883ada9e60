"""Locks a run, so that only one process (the owner of the lock) trains it at a time.

On one machine, this is a kernel lock on the file `lock`, which ends with its owner. Some network
file systems do not share such locks between machines. Therefore the owner also writes a record,
`holder.json`, and updates its modification time every 20 s. An owner on another machine counts as
dead if

- its record was not updated for 600 s, by the clock of the file server;
- it belongs to the same Slurm job as this process, which means that the job was requeued;
- its record was not updated for 40 s, and Slurm reports the end of its job;
- it ran on this machine before a reboot.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from isnet.distributed.slurm_job import is_batch_job, job_has_ended
from isnet.errors import UserError
from isnet.io.disk_space import explain_write_errors
from isnet.io.lock_owner import LockedFile, LockOwner, format_time
from isnet.tracking.journal import last_records

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 20.0
_POLL_SECONDS = 10.0
_DEAD_AFTER_SECONDS = 600.0
_RECORD_SECONDS = 2.0
"""Upper limit of the time between creating and writing a lock owner's record."""
_LOCKED_FOLDER = "ISNET_RUN_LOCK"
"""Environment variable that tells child processes of the lock's owner which folder is locked."""


@contextlib.contextmanager
def run_lock(name: str, work: Path, *, node: int = 0) -> Iterator[None]:
    """Lock the training of run `name` in its work folder for the block.

    The launcher on the first node locks the training for all ranks, which should inherit
    `lock_descriptors()`. On other nodes (`node` > 0), and in ranks, this does nothing. If another
    process owns the lock, a batch job waits, because that process may be about to end: it may be
    the previous job of the same run, on a machine that was lost.

    Raises:
        UserError: another living process owns the lock, or the folder is not writable.
    """
    folder = str(work.resolve())
    if node or os.environ.get(_LOCKED_FOLDER) == folder:
        yield
        return
    with explain_write_errors(work / "lock"):
        work.mkdir(parents=True, exist_ok=True)
        lock, record = _acquire(name, work)
    os.environ[_LOCKED_FOLDER] = folder
    try:
        with _heartbeat(record):
            yield
    finally:
        del os.environ[_LOCKED_FOLDER]
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(record), _record(work).stat()):
                _record(work).unlink()
        os.close(record)
        lock.release()


def run_lock_owner(work: Path) -> LockOwner | None:
    """Return the living process that trains in the folder `work`, if any, without writing files."""
    owner = LockOwner.read(_record(work))
    with contextlib.suppress(FileNotFoundError):
        silence = time.time() - _record(work).stat().st_mtime
        return owner if owner and _seems_alive(owner, silence) else None
    return None


def _record(work: Path) -> Path:
    return work / "holder.json"


def _acquire(name: str, work: Path) -> tuple[LockedFile, int]:
    """Lock the file, and return it and the descriptor of this process's record.

    A batch job waits for the lock.
    """
    end = time.monotonic() + (1.5 * _DEAD_AFTER_SECONDS if is_batch_job() else 0.0)
    is_logged = False
    while True:
        try:
            return _try_acquire(name, work)
        except UserError as refusal:
            if time.monotonic() >= end:
                raise
            if not is_logged:
                _log.info(f"waits: {refusal}")
        is_logged = True
        time.sleep(_POLL_SECONDS)


def _try_acquire(name: str, work: Path) -> tuple[LockedFile, int]:
    lock = LockedFile(work / "lock")
    is_locked = lock.acquire()
    if is_locked is False:
        raise _refusal(name, work, _read_owner(work))
    try:
        while True:
            with contextlib.suppress(FileExistsError):
                return lock, _write_record(work)
            owner = _read_owner(work)
            if owner and not _is_dead(owner, work, has_kernel_lock=is_locked is True):
                raise _refusal(name, work, owner)
            _remove_record(name, work, owner)
    except BaseException:
        lock.release()
        raise


def _write_record(work: Path) -> int:
    """Create the record of this process as the lock's owner, and return its file descriptor.

    Raises FileExistsError if there is a record: with O_EXCL only one process succeeds, also on NFS.
    """
    path = _record(work)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, LockOwner.here().text.encode())
        os.fsync(descriptor)
    except BaseException:  # a full disk: leave no empty record
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def _read_owner(work: Path) -> LockOwner | None:
    """Read the lock's owner from its record; wait a little if the record is still being written."""
    end = time.monotonic() + _RECORD_SECONDS
    while (owner := LockOwner.read(_record(work))) is None and time.monotonic() < end:
        time.sleep(0.02)
    return owner


def _is_dead(owner: LockOwner, work: Path, *, has_kernel_lock: bool) -> bool:
    here, silence = LockOwner.here(), _silence(work)
    if owner.shares_kernel(here):
        return has_kernel_lock or not _seems_alive(owner, silence)
    if owner.job and owner.job == here.job:
        return True
    # Slurm reports the end of a job on a lost machine, where its processes may still run.
    may_ask = owner.job and silence > 2 * _BEAT_SECONDS
    return bool(may_ask and job_has_ended(owner.job)) or not _seems_alive(owner, silence)


def _seems_alive(owner: LockOwner, silence: float) -> bool:
    here = LockOwner.here()
    if owner.shares_pids(here):
        return owner.is_running()
    is_rebooted = owner.host == here.host and not owner.shares_kernel(here)
    if is_rebooted and silence > time.clock_gettime(time.CLOCK_BOOTTIME):
        return False
    return silence < _DEAD_AFTER_SECONDS


def _silence(work: Path) -> float:
    """Return the seconds since the owner's record was updated, by the clock of the file server."""
    now = work / f".now-{os.getpid()}"
    try:
        now.touch()
        return now.stat().st_mtime - _record(work).stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    finally:
        now.unlink(missing_ok=True)


def _remove_record(name: str, work: Path, dead: LockOwner | None) -> None:
    """Remove the record of a dead owner; raise UserError if another machine has replaced it."""
    aside = work / f".holder-{os.getpid()}.json"
    try:
        _record(work).rename(aside)
    except FileNotFoundError:
        return
    owner = LockOwner.read(aside)
    if owner != dead:
        aside.rename(_record(work))
        raise _refusal(name, work, owner)
    aside.unlink(missing_ok=True)


def _refusal(name: str, work: Path, owner: LockOwner | None) -> UserError:
    line = f"run {name} is being trained by"
    if owner is None:
        where = str(work / "lock")
        return UserError(f"{line} another process", where=where, hint="Wait for it, or stop it")
    here = LockOwner.here()
    line += f" process {owner.pid} on {owner.host} since {format_time(owner.since)}"
    if records := last_records(work / "journal.jsonl"):
        line += f", at iteration {records[-1]['iteration']}"
    stop = f"kill {owner.pid}"
    if not owner.shares_kernel(here):
        line += f"; its last sign of life is {max(0, _silence(work)):.0f} s old"
        line += f", and it counts as dead after {_DEAD_AFTER_SECONDS:.0f} s"
        stop = f"on {owner.host}, {stop}"
    elif owner.shares_pids(here) and not owner.is_running():
        line += "; it was killed, and its child processes still run"
        stop = f"see `fuser {work / 'lock'}`"
    return UserError(line, hint=f"Wait for it, or stop it: {stop}")


@contextlib.contextmanager
def _heartbeat(record: int) -> Iterator[None]:
    """Update the modification time of the owner's record regularly during the block.

    This uses the file descriptor, so that a record which has replaced this one is not changed.
    """
    is_ended = threading.Event()

    def beat() -> None:
        while not is_ended.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(record)

    thread = threading.Thread(target=beat, name="run-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_ended.set()
        thread.join()

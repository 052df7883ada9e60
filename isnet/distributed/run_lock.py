"""One process at a time trains a run.

The kernel's lock on `lock` decides on one machine: it ends with its holder. Where a file system
does not share such locks between machines, the holder's record `holder.json` decides, which its
holder touches every twenty seconds. A holder on another machine counts as dead when

- its record was not touched for ten minutes, by the clock of the file server;
- it belongs to this very Slurm job, which was requeued here;
- it was not touched for forty seconds, and Slurm says that its job has ended;
- its machine is this one, and was started since.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from isnet.distributed.slurm_job import is_batch_job, job_has_ended
from isnet.errors import UserError
from isnet.io.file_lock import LockedFile
from isnet.io.lock_owner import LockOwner, format_time
from isnet.tracking.journal_reader import last_records

__all__ = ["run_lock", "run_lock_owner"]

_log = logging.getLogger(__name__)

_BEAT_SECONDS = 20.0
_BETWEEN_LOOKS_SECONDS = 10.0
_DEAD_AFTER_SECONDS = 600.0
_PATIENCE_SECONDS = 2.0
"""How long a record may be in the making."""
_HELD_ABOVE = "ISNET_RUN_LOCK"
"""Environment of the processes that a holder starts: the folder that is held for them."""


@contextlib.contextmanager
def run_lock(name: str, work: Path, *, node: int = 0) -> Iterator[None]:
    """Hold the training in `work`.

    The launcher of the first node holds it for all that the launchers start (which should inherit
    `held_descriptors()`). A batch job waits for a holder that may be on its way out, such as the
    job before it on a machine that was lost.

    Args:
        name: the run.
        work: private folder of the training.
        node: number of this machine among those of the run.

    Raises:
        UserError: a living process holds it; or the folder cannot be written.
    """
    place = str(work.resolve())
    if node or os.environ.get(_HELD_ABOVE) == place:
        yield
        return
    from isnet.io.disk_space import (
        explain_write_errors,  # with all that downloads: `isnet status` needs none
    )

    with explain_write_errors(work / "lock"):
        work.mkdir(parents=True, exist_ok=True)
        lock, record = _claim_in_time(name, work)
    heart = _Heart(record)
    heart.start()
    os.environ[_HELD_ABOVE] = place
    try:
        yield
    finally:
        del os.environ[_HELD_ABOVE]
        heart.end()
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(record), _record(work).stat()):
                _record(work).unlink()
        os.close(record)
        lock.release()


def run_lock_owner(work: Path) -> LockOwner | None:
    """Return the living holder of a training, without touching anything."""
    holder = LockOwner.read(_record(work))
    if holder is None:
        return None
    with contextlib.suppress(FileNotFoundError):
        silence = time.time() - _record(work).stat().st_mtime
        return holder if _seems_alive(holder, LockOwner.here(), silence) else None
    return None


def _record(work: Path) -> Path:
    return work / "holder.json"


def _claim_in_time(name: str, work: Path) -> tuple[LockedFile, int]:
    end = time.monotonic() + (1.5 * _DEAD_AFTER_SECONDS if is_batch_job() else 0.0)
    told = False
    while True:
        try:
            return _claim(name, work)
        except UserError as refusal:
            if time.monotonic() >= end:
                raise
            if not told:
                _log.info(f"waits: {refusal}")
                told = True
        time.sleep(_BETWEEN_LOOKS_SECONDS)


def _claim(name: str, work: Path) -> tuple[LockedFile, int]:
    """Return the lock, and the descriptor of the record that names this process."""
    lock = LockedFile(work / "lock")
    taken = lock.acquire()
    if taken is False:
        raise _refusal(name, work, _awaited(work))
    try:
        while True:
            with contextlib.suppress(FileExistsError):
                return lock, _write_record(work)
            holder = _awaited(work)
            if holder and not _is_dead(holder, work, has_kernel_lock=taken is True):
                raise _refusal(name, work, holder)
            _set_aside(name, work, holder)
    except BaseException:
        lock.release()
        raise


def _write_record(work: Path) -> int:
    """Create the record, of which only one process can be the creator, also on NFS."""
    path = _record(work)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, LockOwner.here().text.encode())
        os.fsync(descriptor)
    except BaseException:  # a full disk: the next one shall not take an empty record for a holder
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def _awaited(work: Path) -> LockOwner | None:
    """Return whom the record names, which may be in the making."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while (holder := LockOwner.read(_record(work))) is None and time.monotonic() < end:
        time.sleep(0.02)
    return holder


def _is_dead(holder: LockOwner, work: Path, *, has_kernel_lock: bool) -> bool:
    here = LockOwner.here()
    if holder.shares_kernel(here):
        return has_kernel_lock or not _seems_alive(holder, here, _silence(work))
    if holder.job and holder.job == here.job:
        return True
    # Its machine may be lost and the controller have given it up before it has ended.
    if holder.job and _silence(work) > 2 * _BEAT_SECONDS and job_has_ended(holder.job):
        return True
    return not _seems_alive(holder, here, _silence(work))


def _seems_alive(holder: LockOwner, here: LockOwner, silence: float) -> bool:
    if holder.shares_pids(here):
        return holder.is_running()
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    if holder.host == here.host and not holder.shares_kernel(here) and silence > uptime:
        return False
    return silence < _DEAD_AFTER_SECONDS


def _silence(work: Path) -> float:
    """Return for how many seconds the record was not touched, by the clock that stamps files
    there: those of two machines may differ.
    """
    now = work / f".now-{os.getpid()}"
    try:
        now.touch()
        return now.stat().st_mtime - _record(work).stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    finally:
        now.unlink(missing_ok=True)


def _set_aside(name: str, work: Path, dead: LockOwner | None) -> None:
    """Remove the record of a dead holder, and of no other: somebody on another machine may have
    been quicker.
    """
    aside = work / f".holder-{os.getpid()}.json"
    try:
        _record(work).rename(aside)
    except FileNotFoundError:
        return
    found = LockOwner.read(aside)
    if found == dead:
        aside.unlink(missing_ok=True)
        return
    aside.rename(_record(work))
    raise _refusal(name, work, found)


def _refusal(name: str, work: Path, holder: LockOwner | None) -> UserError:
    if holder is None:
        return UserError(
            f"run {name} is being trained by another process",
            where=str(work / "lock"),
            hint="Wait for it, or stop it",
        )
    here = LockOwner.here()
    who = f"process {holder.pid} on {holder.host} since {format_time(holder.since)}"
    records = last_records(work / "journal.jsonl")
    at = f", at iteration {records[-1]['iteration']}" if records else ""
    stop = f"kill {holder.pid}"
    if not holder.shares_kernel(here):
        at += f"; its last sign of life is {max(0, _silence(work)):.0f} s old"
        at += f", and it counts as dead after {_DEAD_AFTER_SECONDS:.0f} s"
        stop = f"on {holder.host}, {stop}"
    elif holder.shares_pids(here) and not holder.is_running():
        at += "; it was killed, and what it had started is still ending"
        stop = f"see `fuser {work / 'lock'}`"
    return UserError(
        f"run {name} is being trained by {who}{at}", hint=f"Wait for it, or stop it: {stop}"
    )


class _Heart(threading.Thread):
    """Touches the record through its descriptor: one that another process has put in its place
    stays as it is.
    """

    def __init__(self, record: int) -> None:
        super().__init__(name="run-lock", daemon=True)
        self._record = record
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._record)

    def end(self) -> None:
        """Beat no more."""
        self._ended.set()
        self.join()

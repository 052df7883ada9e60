"""GPUs for one process and its children alone, among all runs of this user on this machine.

A lease is a held file named after the GPU's UUID in the user's cache folder: `nvidia-smi` lists the
same UUID in every container, and a home that several machines share has no two that are equal.
`/run/user` would go with the user's last login, and the lease with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_cache_path

from isnet.distributed.visible_gpus import Gpu, gpu_pool
from isnet.errors import UserError
from isnet.io.atomic_files import digest_of
from isnet.io.disk_space import explain_write_errors
from isnet.io.file_lock import LockedFile
from isnet.io.lock_owner import LockOwner, format_time

__all__ = ["gpu_lease"]

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@contextlib.contextmanager
def gpu_lease(count: int) -> Iterator[list[str]]:
    """Hold `count` GPUs of those that CUDA_VISIBLE_DEVICES names, or of all, and let this process
    and its children see no others. Enter it before CUDA starts.

    It waits until all are free at once; of the runs with the same choice one waits for GPUs, and
    the others behind it, so that one which needs many gets them. Inside a Slurm job with devices
    of its own, only the runs of that job count: Slurm divides the rest.

    Args:
        count: GPUs; 0 changes nothing.

    Yields:
        Their names, as CUDA_VISIBLE_DEVICES has them now.

    Raises:
        UserError: there are fewer, whoever holds them.
    """
    if count == 0:
        yield []
        return
    given = os.environ.get(_VISIBLE)
    pool = gpu_pool()
    if count > len(pool):
        raise _too_few(count, len(pool), given)
    files = _files_of(pool)
    held = _taken_in_turn(count, files)
    names = [gpu.name for gpu, file in files.items() if file in held]
    os.environ[_VISIBLE] = ",".join(names)
    try:
        yield names
    finally:
        if given is None:
            del os.environ[_VISIBLE]
        else:
            os.environ[_VISIBLE] = given
        for file in held:
            file.release(remove=True)


def _too_few(count: int, there: int, given: str | None) -> UserError:
    among = f" in {_VISIBLE}={given}" if given is not None else ""
    are = {0: "there are none", 1: "there is one"}.get(there, f"there are {there}")
    return UserError(
        f"{count} GPU{'s are' if count > 1 else ' is'} asked for, {are}{among}",
        where="params.yaml: runs",
        hint="Write devices: cpu or fewer, or run it where the GPUs are",
    )


def _files_of(pool: list[Gpu]) -> dict[Gpu, LockedFile]:
    job = os.environ.get("SLURM_JOB_ID") if _VISIBLE in os.environ else None
    folder = _folder()
    suffix = f"-job{job}" if job else ""
    return {gpu: LockedFile(folder / f"{gpu.key}{suffix}.lock") for gpu in pool}


def _folder() -> Path:
    """Return the folder of leases; a container may have a home that nobody can write."""
    home = user_cache_path("isnet") / "gpus"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if os.access(home, os.W_OK):
            return home
    except OSError:
        pass
    other = Path(tempfile.gettempdir()) / f"isnet-gpus-{os.getuid()}"
    with explain_write_errors(other):
        other.mkdir(mode=0o700, exist_ok=True)
    return other


def _taken_in_turn(count: int, files: dict[Gpu, LockedFile]) -> list[LockedFile]:
    """Wait to be the next one, then until `count` files are free at once."""
    places = [file.path for file in files.values()]
    first = LockedFile(
        places[0].with_name(f"queue-{digest_of(sorted(map(str, places)))[:16]}.lock")
    )
    is_first, told = False, ""
    try:
        while True:
            is_first = is_first or _take(first)
            if is_first and (held := _taken(count, list(files.values()))):
                return held
            if (line := _waiting(count, files, first, is_first)) != told:
                _log.info(line)
                told = line
            time.sleep(_POLL_SECONDS)
    finally:
        first.release(remove=True)


def _taken(count: int, files: list[LockedFile]) -> list[LockedFile]:
    """Take `count` of the files, or none: who holds some and waits for more may wait for ever."""
    held: list[LockedFile] = []
    for file in files:
        if _take(file):
            held.append(file)
        if len(held) == count:
            return held
    for file in held:
        file.release(remove=True)
    return []


def _take(file: LockedFile) -> bool:
    with explain_write_errors(file.path):
        taken = file.take()
        if taken:
            file.write(LockOwner.here().text)
    if taken is None:
        raise UserError(
            "GPUs cannot be shared out: this file system has no locks",
            where=str(file.path.parent),
            hint="Let XDG_CACHE_HOME name a folder on a disk of this machine",
        )
    return taken


def _waiting(count: int, files: dict[Gpu, LockedFile], first: LockedFile, is_first: bool) -> str:
    holders = filter(None, map(_living, files.values()))
    told = [f"{_who(holder)} since {format_time(holder.since)}" for holder in holders]
    before = "" if is_first else f"; {_who(_living(first))} comes first"
    held = ", ".join(dict.fromkeys(told)) or "other processes"
    return f"waits for {count} of {len(files)} GPU{'s' * (len(files) > 1)}, held by {held}{before}"


def _living(file: LockedFile) -> LockOwner | None:
    """Return who holds a file; a killed one leaves it there."""
    holder = LockOwner.read(file.path)
    if holder and holder.shares_pids(LockOwner.here()) and not holder.is_running():
        return None
    return holder


def _who(holder: LockOwner | None) -> str:
    return f"process {holder.pid} ({holder.command})" if holder else "another process"

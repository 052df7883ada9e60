"""Where the processes of a run meet, before they train."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from isnet.distributed.rank import launcher_rendezvous
from isnet.errors import UserError
from isnet.io.atomic_files import write_text
from isnet.settings.params import Devices

__all__ = ["join_process_group"]

Result = TypeVar("Result")

_PATIENCE = 300.0
_BETWEEN_LOOKS = 0.05  # seconds


def join_process_group(devices: Devices) -> None:
    """Form torch's process group with the other ranks of this run: gloo on CPUs, NCCL on GPUs.

    Raises:
        UserError: there are not as many ranks as the run asks for, or some have not come within 300
            s (ISNET_START_TIMEOUT).
    """
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if ranks != devices.processes:
        raise UserError(
            f"devices: {devices} means {devices.processes} processes, but {ranks} were started",
            where="params.yaml: runs",
            hint="Start as many, or change devices",
        )
    patience = float(os.environ.get("ISNET_START_TIMEOUT") or _PATIENCE)
    store = _store(rank, ranks, patience)
    _check_in(store, rank, ranks, patience)
    if devices.kind == "gpu":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "gloo" if devices.kind == "cpu" else "nccl"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=ranks)


def _store(rank: int, ranks: int, patience: float) -> Any:
    """Return the store that all ranks share."""
    limit = timedelta(seconds=patience)
    own = launcher_rendezvous()
    try:
        if own is None:
            return _heeding_signals(
                lambda: next(rendezvous("env://", rank, ranks, timeout=limit))[0]
            )
        address, meeting = own
        if rank == 0:
            return _opened(address, meeting, ranks, limit)
        host, port = _found(meeting, patience)
        return TCPStore(host, port, ranks, False, limit)
    except distributed.DistError:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise _missing([0], patience, f"nobody answers at {place}") from None


def _opened(address: str, meeting: Path, ranks: int, limit: timedelta) -> Any:
    """Open the store at any free port, and tell the others where."""
    store = TCPStore(address, 0, ranks, True, limit, wait_for_workers=False)
    write_text(meeting, f"{address} {store.port}")
    return store


def _found(meeting: Path, patience: float) -> tuple[str, int]:
    """Wait until rank 0 has told where the store is, and answers there."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        # Where the folder is on another machine, listing it makes new files show early.
        if meeting in meeting.parent.iterdir():
            host, port = meeting.read_text().split()
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), timeout=5).close()
                return host, int(port)
        time.sleep(_BETWEEN_LOOKS)
    raise _missing([0], patience)


def _check_in(store: Any, rank: int, ranks: int, patience: float) -> None:
    """Wait for all, and name those who do not come; torch would name none."""
    store.set(_key(rank), "here")
    end = time.monotonic() + patience
    missing = list(range(ranks))
    while missing := [other for other in missing if not store.check([_key(other)])]:
        if time.monotonic() > end:
            raise _missing(missing, patience)
        time.sleep(_BETWEEN_LOOKS)


def _key(rank: int) -> str:
    return f"isnet/rank-{rank}"


def _missing(ranks: list[int], patience: float, detail: str = "") -> UserError:
    names = ("rank " if len(ranks) == 1 else "ranks ") + ", ".join(map(str, ranks))
    return UserError(
        f"{names} did not start within {patience:g} s{': ' + detail if detail else ''}",
        hint="See what its process says; a slow start may take longer with ISNET_START_TIMEOUT "
        "(seconds)",
    )


def _heeding_signals(wait: Callable[[], Result]) -> Result:
    """Wait in a thread: Python handles no signal while torch waits in this one."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(wait)
        while not future.done():
            time.sleep(_BETWEEN_LOOKS)
        return future.result()

"""Where the processes of a run meet, before they train."""

from __future__ import annotations

import os
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

from isnet.engine.rank import meeting
from isnet.errors import UserError
from isnet.files import write_text
from isnet.params import Devices

__all__ = ["join"]

Result = TypeVar("Result")

_PATIENCE = 300.0
_BETWEEN_LOOKS = 0.05  # seconds


def join(devices: Devices) -> None:
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
            cure="Start as many, or change devices",
        )
    patience = float(os.environ.get("ISNET_START_TIMEOUT") or _PATIENCE)
    store = _store(rank, ranks, patience)
    _check_in(store, rank, ranks, patience)
    if devices.kind == "gpu":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "gloo" if devices.kind == "cpu" else "nccl"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=ranks)


def _store(rank: int, ranks: int, patience: float) -> Any:
    """Return the store that all ranks share; rank 0 of our launcher takes any free port for it."""
    limit = timedelta(seconds=patience)
    folder = meeting()
    try:
        if folder is None:
            return _heeding_signals(
                lambda: next(rendezvous("env://", rank, ranks, timeout=limit))[0]
            )
        file = folder / "port"
        if rank == 0:
            store = TCPStore("127.0.0.1", 0, ranks, True, limit, wait_for_workers=False)
            write_text(file, str(store.port))
            return store
        _wait_for(file, patience)
        return TCPStore("127.0.0.1", int(file.read_text()), ranks, False, limit)
    except distributed.DistError:
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise _missing([0], patience, f"nobody answers at {address}") from None


def _wait_for(file: Path, patience: float) -> None:
    end = time.monotonic() + patience
    while not file.exists():
        if time.monotonic() > end:
            raise _missing([0], patience)
        time.sleep(_BETWEEN_LOOKS)


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
        cure="See what its process says; a slow start may take longer with ISNET_START_TIMEOUT "
        "(seconds)",
    )


def _heeding_signals(wait: Callable[[], Result]) -> Result:
    """Wait in a thread: Python handles no signal while torch waits in this one."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(wait)
        while not future.done():
            time.sleep(_BETWEEN_LOOKS)
        return future.result()

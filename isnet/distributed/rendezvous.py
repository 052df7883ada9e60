"""Connects the ranks of a run by a TCP store, and initialises torch's process group."""

import contextlib
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from isnet.errors import UserError
from isnet.io.atomic_files import write_text
from isnet.settings.params import Devices

_TIMEOUT_SECONDS = 300.0
_POLL_SECONDS = 0.05


def join_process_group(devices: Devices) -> None:
    """Initialise torch's process group with the other ranks of a run: gloo on CPUs, NCCL on GPUs.

    Raises:
        UserError: the number of ranks is not that of `devices`, or some have not started within
            300 s (ISNET_START_TIMEOUT).
    """
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if ranks != devices.processes:
        raise UserError(
            f"devices: {devices} means {devices.processes} processes, but {ranks} were started",
            where="params.yaml: runs",
            hint="Start as many, or change devices",
        )
    timeout = float(os.environ.get("ISNET_START_TIMEOUT") or _TIMEOUT_SECONDS)
    store = _connect_store(rank, ranks, timeout)
    _wait_for_all(store, rank, ranks, timeout)
    if devices.kind == "gpu":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "gloo" if devices.kind == "cpu" else "nccl"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=ranks)


def _connect_store(rank: int, ranks: int, timeout: float) -> Any:
    """Return the TCP store shared by all ranks. Rank 0 opens the store on a free port."""
    limit = timedelta(seconds=timeout)
    name = os.environ.get("ISNET_RENDEZVOUS")
    try:
        if name is None:
            return _torch_store(rank, ranks, limit)
        if rank == 0:
            address = os.environ["ISNET_ADDRESS"]
            store = TCPStore(address, 0, ranks, True, limit, wait_for_workers=False)
            write_text(Path(name), f"{address} {store.port}")
            return store
        return TCPStore(*_wait_for_address(Path(name), timeout), ranks, False, limit)
    except distributed.DistError:
        place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise _missing([0], timeout, f": no answer from {place}") from None


def _torch_store(rank: int, ranks: int, limit: timedelta) -> Any:
    """Return the store of torchrun. A thread waits for it, so that signals can be handled."""
    with ThreadPoolExecutor(1) as pool:
        store = pool.submit(lambda: next(rendezvous("env://", rank, ranks, timeout=limit))[0])
        while not store.done():
            time.sleep(_POLL_SECONDS)
        return store.result()


def _wait_for_address(file: Path, timeout: float) -> tuple[str, int]:
    """Wait until rank 0 has written its host and port to a file and answers there; return both."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        # On a network file system, listing the folder makes a new file visible earlier.
        if file in file.parent.iterdir():
            host, port = file.read_text().split()
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), timeout=5).close()
                return host, int(port)
        time.sleep(_POLL_SECONDS)
    raise _missing([0], timeout)


def _wait_for_all(store: Any, rank: int, ranks: int, timeout: float) -> None:
    """Wait until all ranks have started, or raise UserError after the timeout.

    Unlike torch's error, it names the missing ranks.
    """
    key = "isnet/rank-{}".format
    store.set(key(rank), "started")
    end = time.monotonic() + timeout
    missing = list(range(ranks))
    while missing := [other for other in missing if not store.check([key(other)])]:
        if time.monotonic() > end:
            raise _missing(missing, timeout)
        time.sleep(_POLL_SECONDS)


def _missing(ranks: list[int], timeout: float, detail: str = "") -> UserError:
    names = f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"
    return UserError(
        f"{names} did not start within {timeout:g} s{detail}",
        hint="See the output of that process; allow a slow start more time with "
        "ISNET_START_TIMEOUT (seconds)",
    )

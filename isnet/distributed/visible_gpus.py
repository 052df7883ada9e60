"""The GPUs that this process may use, found without importing torch."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass

__all__ = ["Gpu", "gpu_pool"]

_SECONDS = 60.0
"""A driver that was not loaded needs many seconds for its first answer."""


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG instance of one."""

    name: str
    """What CUDA_VISIBLE_DEVICES takes: a UUID where the driver told it, else an index."""
    key: str
    """The same for every process that would use it, however that one names it."""


def gpu_pool() -> list[Gpu]:
    """Return what CUDA_VISIBLE_DEVICES names, or else all that is there.

    Indices count as in `nvidia-smi -L`, and become UUIDs, so that all processes mean the same by
    them; CUDA itself counts by speed in a machine with several models. Like CUDA, what follows the
    first name that is none is passed over. Of a GPU that is divided (MIG) the instances count.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = _shown_by_driver()
    if given is not None:
        return _named(given, shown)
    if shown is None:
        return [_by_index(number) for number in range(_counted_by_torch())]
    return [_by_uuid(uuid) for parts in shown for uuid in parts]


def _shown_by_driver() -> list[list[str]] | None:
    """Return for each GPU its UUID, or those of its MIG instances; None where there is no
    nvidia-smi that works.
    """
    try:
        answer = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found: list[list[str]] = []
    for line in answer.stdout.splitlines():
        match = re.search(r"UUID: ((?:GPU|MIG)-[^)\s]+)\)", line)
        if match and line.startswith("GPU "):
            found.append([match[1]])
        elif match and found:
            found[-1] = [uuid for uuid in found[-1] if uuid.startswith("MIG-")] + [match[1]]
    return found


def _named(given: str, shown: list[list[str]] | None) -> list[Gpu]:
    pool: list[Gpu] = []
    for name in map(str.strip, given.split(",")):
        gpu = _one_named(name, shown)
        if gpu is None:
            break
        if gpu not in pool:
            pool.append(gpu)
    return pool


def _one_named(name: str, shown: list[list[str]] | None) -> Gpu | None:
    if name.isdecimal():
        if shown is None:
            return _by_index(int(name))
        return _by_uuid(shown[int(name)][0]) if int(name) < len(shown) else None
    if not name.startswith(("GPU-", "MIG-")):
        return None
    if shown is None:
        return _by_uuid(name)
    matches = [uuid for parts in shown for uuid in parts if uuid.startswith(name)]
    return _by_uuid(matches[0]) if len(matches) == 1 else None


def _by_uuid(uuid: str) -> Gpu:
    return Gpu(uuid, uuid.replace("/", "-"))


def _by_index(number: int) -> Gpu:
    return Gpu(str(number), f"{socket.gethostname()}-{number}")


def _counted_by_torch() -> int:
    """Ask torch in a process of its own: this one sets CUDA_VISIBLE_DEVICES before it imports it.

    Some containers have the driver's libraries, and not its programs.
    """
    code = "import torch; print(torch.cuda.device_count())"
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    return int(answer.stdout.strip() or 0)

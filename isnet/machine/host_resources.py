"""CPU cores and memory of this process, on Linux, WSL2 and macOS."""

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

_CGROUP_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use.

    Linux restricts it by affinity (Slurm, taskset, containers); macOS has no affinity.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory_bytes() -> int:
    """Return the peak resident memory of this process since its start."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def total_memory_bytes() -> int:
    """Return the least of the machine's memory and the limits of cgroup and address space."""
    return int(min(psutil.virtual_memory().total, *_limits(0, 0)))


def free_memory_bytes() -> int:
    """Return the bytes that this process can still allocate on this machine and in its limits."""
    used = psutil.Process().memory_info()
    return int(max(min(psutil.virtual_memory().available, *_limits(used.vms, used.rss)), 0))


def _limits(address_space: int, resident: int) -> Iterator[int]:
    """Yield what is left of the limits of this process if it uses so much."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        yield limit - address_space
    for file in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max", or no such group
            yield int(Path("/sys/fs/cgroup", file).read_text()) - resident

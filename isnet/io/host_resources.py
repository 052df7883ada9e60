"""CPU cores and memory of this process, on Linux, WSL2 and macOS."""

import contextlib
import os
import resource
import sys
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


def free_memory_bytes() -> int:
    """Return the bytes that this process can still allocate.

    The limits of the cgroup and of the address space count.
    """
    used = psutil.Process().memory_info()
    free = [int(psutil.virtual_memory().available)]
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        free.append(address_space - used.vms)
    for file in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max", or no such group
            free.append(int(Path("/sys/fs/cgroup", file).read_text()) - used.rss)
    return max(min(free), 0)

"""CPU cores and memory of this process, on Linux, WSL2 and macOS."""

import os
import resource
import sys


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

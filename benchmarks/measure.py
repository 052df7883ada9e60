"""Seconds and peak memory of a piece of work, on a CPU and on a GPU."""

from __future__ import annotations

import ctypes
import gc
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch

__all__ = ["Cost", "alternate", "best_device", "fastest", "peak_on_cpu"]

_LIBC = ctypes.CDLL(None)
_STATUS = Path("/proc/self/status")
Cost = tuple[float, float]
"""Seconds, and GiB above what was held before."""


def best_device() -> torch.device:
    """Return the GPU, or where there is none the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def alternate(sides: dict[str, Callable[[], None]], repeats: int) -> dict[str, Cost]:
    """Run the sides in turn; return for each its fastest seconds and its highest peak."""
    costs = dict.fromkeys(sides, (math.inf, 0.0))
    for _ in range(repeats):
        for side, work in sides.items():
            seconds, peak = _run(work)
            costs[side] = (min(costs[side][0], seconds), max(costs[side][1], peak))
    return costs


def fastest(work: Callable[[], None], repeats: int = 2) -> float:
    """Return the seconds of the fastest repetition."""
    return min(_run(work)[0] for _ in range(repeats))


def peak_on_cpu(work: Callable[[], None]) -> float:
    """Return the GiB of resident memory that the work needs above what was held before."""
    gc.collect()
    return _run_on_cpu(work)[1]


def _run(work: Callable[[], None]) -> Cost:
    gc.collect()
    return _run_on_gpu(work) if torch.cuda.is_available() else _run_on_cpu(work)


def _run_on_gpu(work: Callable[[], None]) -> Cost:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begun.record()
    work()
    ended.record()
    torch.cuda.synchronize()
    seconds = begun.elapsed_time(ended) / 1e3
    return seconds, (torch.cuda.max_memory_allocated() - before) / 2**30


def _run_on_cpu(work: Callable[[], None]) -> Cost:
    """Linux: the kernel's own high-water mark, reset before; what malloc keeps is given back."""
    _LIBC.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _kib("VmRSS")
    begun = time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    return seconds, (_kib("VmHWM") - before) / 2**20


def _kib(field: str) -> int:
    match = re.search(rf"{field}:\s+(\d+) kB", _STATUS.read_text())
    assert match, f"{_STATUS} has no {field}"
    return int(match[1])

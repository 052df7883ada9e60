"""Out of memory: what was going on, how much there is, and the settings that need less."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import torch

from isnet.errors import UserError
from isnet.settings.experiment import Batch
from isnet.settings.params import Devices, Speed

__all__ = ["explain_out_of_memory"]

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "alloc_failed",
    "std::bad_alloc",
)
"""In messages of torch's allocators, CUDA, cuBLAS, cuDNN, the kernel and C++."""

_PHASES = {
    "_next_data": "loading images",
    "val_step": "validation",
    "_run_forward": "the forward pass",
    "backward": "the backward pass",
    "update_params": "the optimizer step",
}
"""Functions of torch and mmengine, and what a training does in them; the outer one is meant."""


@contextlib.contextmanager
def explain_out_of_memory(
    batch: Batch, speed: Speed, devices: Devices, *, iteration: Callable[[], int]
) -> Iterator[None]:
    """Make one line of running out of memory; any other error passes.

    On a CPU most often nothing is raised: Linux ends the process with SIGKILL.

    Args:
        batch: how the global batch is spread.
        speed: with the number format.
        devices: where the run trains.
        iteration: says how many optimizer steps are done.

    Raises:
        UserError: what was going on, peak and total memory, and settings that need less, the first
            of which changes the training least.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not _is_out_of_memory(error):
            raise
        phase = _phase(error.__traceback__)
        raise UserError(
            f"out of memory in {phase} after iteration {iteration()}: {_memory(devices)}",
            where=f"devices: {devices}",
            hint=_hint(phase, batch, speed, devices),
        ) from error


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower()
    return any(sign in text for sign in _SIGNS)


def _phase(traceback: TracebackType | None) -> str:
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_name
        inner = traceback.tb_next
        if name == "update_params":  # goes back and steps
            names = _names(inner)
            return _PHASES["backward" if "backward" in names else name]
        if name in _PHASES:
            return _PHASES[name]
        traceback = inner
    return "setting up"


def _names(traceback: TracebackType | None) -> set[str]:
    names = set()
    while traceback is not None:
        names.add(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    return names


def _memory(devices: Devices) -> str:
    """Say peak and total, in 10^9 bytes."""
    if devices.kind == "gpu" and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        text = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB at the peak of {total / 1e9:.1f}"
        others = total - free - torch.cuda.memory_reserved()
        # A context takes about half a GB, its own process's too.
        return text + (f", others hold {others / 1e9:.1f}" if others > 2e9 else "")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"{peak / 1e9:.1f} GB at the peak of {_total_of_cpu() / 1e9:.1f}"


def _total_of_cpu() -> int:
    """Bytes that this process may have: of the machine, its container or its limit."""
    totals = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        totals.append(limit)
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            totals.append(int(Path("/sys/fs/cgroup", file).read_text()))
    return min(totals)


def _hint(phase: str, batch: Batch, speed: Speed, devices: Devices) -> str:
    if phase == _PHASES["val_step"]:
        return (
            "Validation takes one whole image at a time: write overrides: {model: {test_cfg: "
            "{mode: slide, crop_size: [H, W], stride: [H, W]}}}"
        )
    hints = []
    share = batch.per_process * batch.accumulation
    smaller = [n for n in range(1, batch.per_process // 2 + 1) if share % n == 0]
    if smaller:
        hints.append(
            f"overrides: {{train_dataloader: {{batch_size: {smaller[-1]}}}}} (the global batch "
            f"stays {share * batch.processes}: {share // smaller[-1]} are accumulated)"
        )
    if speed.precision in ("float32", "tf32"):
        hints.append("precision: bf16")
    hints.append("a smaller crop_size in the config's train pipeline")
    twice = devices.per_node * 2
    if devices.kind == "gpu" and share % 2 == 0:
        more = Devices(kind="gpu", nodes=devices.nodes, per_node=twice)
        hints.append(f"devices: {more}")
    if phase == _PHASES["_next_data"]:
        hints.insert(0, "overrides: {train_dataloader: {num_workers: 0}}")
    return f"Needs less, in this order: {'; '.join(hints)}"

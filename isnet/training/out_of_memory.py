"""Explains out-of-memory errors: phase, peak and total memory, and settings that need less."""

import contextlib
import re
import traceback
from collections.abc import Callable, Iterator

import torch

from isnet.errors import UserError
from isnet.machine.host_resources import peak_memory_bytes, total_memory_bytes
from isnet.settings.planned_run import PlannedRun
from isnet.training.train_job import TrainJob

_MESSAGES = re.compile(
    r"out of memory|can('t|not) allocate memory|not enough memory|alloc_failed|std::bad_alloc", re.I
)
"""Out-of-memory messages of torch's allocators, CUDA, cuBLAS, cuDNN, the kernel and C++."""

_PHASES = {
    "val_step": "validation",
    "_next_data": "loading images",
    "backward": "the backward pass",
    "update_params": "the optimizer step",
    "_run_forward": "the forward pass",
}
"""Phases of training by the name of a function of torch or mmengine in the traceback.

The first matching entry applies.
"""


@contextlib.contextmanager
def explain_out_of_memory(job: TrainJob, *, iteration: Callable[[], int]) -> Iterator[None]:
    """Convert an out-of-memory error within the block to a UserError; other errors propagate.

    The message has the phase, peak and total memory, and settings that need less, starting with the
    one that changes the training least. `iteration` returns the number of finished optimizer steps.
    On a CPU there is usually no such error, because Linux ends the process with SIGKILL.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not isinstance(error, MemoryError) and not _MESSAGES.search(str(error)):
            raise
        names = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
        phase = next((text for name, text in _PHASES.items() if name in names), "setting up")
        raise UserError(
            f"out of memory in {phase} after iteration {iteration()}: {_memory()}",
            where=f"devices: {job.planned.run.devices}",
            hint=advise_less(job.planned, phase),
        ) from error


def peak_memory_gb() -> float:
    """Return the peak memory of the GPU, or of this process on the CPU, in 10^9 bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return peak_memory_bytes() / 1e9


def _memory() -> str:
    """Describe peak and total memory in a message, in units of 10^9 bytes."""
    if not torch.cuda.is_available():
        return f"peak {peak_memory_gb():.1f} of {total_memory_bytes() / 1e9:.1f} GB"
    free, total = torch.cuda.mem_get_info()
    text = f"peak {peak_memory_gb():.1f} of {total / 1e9:.1f} GB"
    others = total - free - torch.cuda.memory_reserved()
    # A CUDA context takes about half a GB, that of this process too.
    return text + (f", other processes use {others / 1e9:.1f} GB" if others > 2e9 else "")


def advise_less(planned: PlannedRun, phase: str = "") -> str:
    """Return settings with which a run needs less memory in a phase, the mildest first."""
    if phase == _PHASES["val_step"]:
        return (
            "Validation predicts one whole image at a time: write overrides: {model: {test_cfg: "
            "{mode: slide, crop_size: [H, W], stride: [H, W]}}}"
        )
    batch, devices = planned.batch, planned.run.devices
    share = batch.share
    smaller = next((size for size in batch.sizes if size <= batch.per_process // 2), None)
    hints = []
    if phase == _PHASES["_next_data"]:
        hints.append("overrides: {train_dataloader: {num_workers: 0}}")
    if smaller:
        hints.append(
            f"overrides: {{train_dataloader: {{batch_size: {smaller}}}}} (the global batch "
            f"stays {share * batch.processes}: {share // smaller} are accumulated)"
        )
    if planned.run.speed.precision in ("float32", "tf32"):
        hints.append("precision: bf16")
    hints.append("a smaller crop_size in the config's train pipeline")
    if devices.kind == "gpu" and share % 2 == 0:
        hints.append(f"devices: {devices.model_copy(update={'per_node': devices.per_node * 2})}")
    return f"Needs less, in this order: {'; '.join(hints)}"

"""The memory that a training step of a run needs, and whether the GPUs of this machine have it."""

import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from isnet.errors import UserError
from isnet.io.atomic_files import digest_of, read_json, write_json
from isnet.machine.gpus import gpu_memory
from isnet.machine.host_resources import free_memory_bytes
from isnet.settings.planned_run import PlannedRun
from isnet.tracking.environment import installed_versions

_ESTIMATES = Path("work/step_memory.json")
_PACKAGES = ("isnet", "torch", "onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation", "timm")
"""Packages that decide what a step needs."""
_SHARE = 0.8  # of the memory. The rest is for loading, and for what kernels use only while they run


def step_memory(planned: PlannedRun) -> int | str:
    """Return the peak bytes of a training process of a run, or why they are not known.

    An estimate takes seconds, and is kept until a setting or a package that decides it changes.
    Raises UserError if a batch norm gets one value per channel.
    """
    known, key = read_json(_ESTIMATES), _key(planned)
    if key in known:
        return int(known[key])
    needed = _estimate_apart(planned)
    if isinstance(needed, int):
        write_json(_ESTIMATES, {**known, key: needed})
    return needed


def _estimate_apart(planned: PlannedRun) -> int | str:
    """Estimate in a process of its own: fake tensors may stay in caches of the user's modules."""
    from isnet.training.memory_estimate import estimate_step_memory

    ignored = (signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(1, get_context("spawn"), signal.signal, ignored) as pool:
        try:
            found = pool.submit(estimate_step_memory, planned).result()
        except BrokenProcessPool:
            return "the process that estimates it was killed"
    return found if isinstance(found, str) else found.peak


def describe_memory(planned: PlannedRun) -> str:
    """Return a line on the memory of a run: `one: about 5.4 GiB per process (...)`."""
    needed, crop = step_memory(planned), planned.experiment.crop
    if isinstance(needed, str) or crop is None:
        return f"{planned.name}: memory unknown: {needed}"
    images = f"{planned.batch.per_process} x {crop[0]}x{crop[1]}, {planned.run.precision}"
    return f"{planned.name}: about {needed / 2**30:.1f} GiB per process ({images})"


def gpu_room(planned: PlannedRun) -> int | None:
    """Return the bytes of the smallest GPU that a run gets, or None if it gets none here.

    It gets the visible ones with the most memory: all of a lease, within one. A run for more GPUs
    than there are is for another machine.
    """
    wanted, sizes = planned.run.devices.gpus, sorted(gpu_memory(), reverse=True)
    return sizes[wanted - 1] if 0 < wanted <= len(sizes) else None


def require_gpu_memory(planned: PlannedRun) -> None:
    """Raise UserError if the tensors of a run's training step alone take more than its GPUs have.

    Nothing is refused where there is no GPU, such as on the login node of a cluster.
    """
    if (room := gpu_room(planned)) is None:
        return
    needed = step_memory(planned)
    if isinstance(needed, int) and needed > room:
        from isnet.training.out_of_memory import advise_less

        raise UserError(
            f"a training step needs about {needed / 2**30:.1f} GiB on each GPU, "
            f"which has {room / 2**30:.1f} GiB",
            where=f"params.yaml: runs.{planned.name}",
            hint=advise_less(planned),
        )


def fit_batch(planned: PlannedRun) -> tuple[int, str]:
    """Return the largest number of images per process that fits, and a line on how it was found.

    It divides the batch of the run, which stays: gradients of smaller parts are accumulated. The
    memory is that of the GPUs of the run, or what is free on this machine.
    """
    room, where = gpu_room(planned), "of each GPU"
    if room is None:
        room, where = free_memory_bytes(), "free"
    batch, limit, tried = planned.batch, _SHARE * room, []
    for images in batch.sizes:
        smaller = replace(planned.experiment, per_device_batch=images)
        needed = step_memory(replace(planned, experiment=smaller))
        if isinstance(needed, str):
            return batch.per_process, f"memory: unknown: {needed}"
        tried.append(f"{images} at a time take about {needed / 2**30:.1f} GiB")
        if fits := needed <= limit:
            break
    possible = f"{limit / 2**30:.1f} GiB, {_SHARE:.0%} of the {room / 2**30:.1f} {where}"
    advice = "" if fits else ": take a smaller crop"
    return images, f"memory: {', '.join(tried)}; possible are {possible}{advice}"


def _key(planned: PlannedRun) -> str:
    """Return what decides the memory of a step."""
    batch, run = planned.batch, planned.run
    shape = [batch.processes > 1, batch.per_process, batch.accumulation > 1, run.devices.kind]
    speed = [run.speed.precision, run.speed.channels_last, run.ema is not None]
    versions = installed_versions(_PACKAGES)
    return digest_of([planned.experiment.train_digest, *shape, *speed, versions])

"""The images that a process of a new run takes at a time, so that a step fits this machine."""

from dataclasses import replace

from isnet.io.host_resources import free_memory_bytes
from isnet.pipeline.run_memory import gpu_room, step_memory
from isnet.settings.planned_run import PlannedRun

_SHARE = 0.8
"""Of the memory. The rest is for loading, and for what kernels use only while they run."""


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

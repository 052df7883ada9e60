"""Divides the images of an optimizer step among processes and gradient accumulation."""

from dataclasses import dataclass

from isnet.settings.params import Devices


@dataclass(frozen=True)
class Batch:
    """Division of a global batch into `processes` x `per_process` x `accumulation` images."""

    processes: int
    per_process: int
    accumulation: int

    @property
    def share(self) -> int:
        """Images of a process in an optimizer step."""
        return self.per_process * self.accumulation

    @property
    def sizes(self) -> list[int]:
        """Images per forward pass that leave the global batch as it is, from `per_process` down."""
        return [size for size in range(self.per_process, 0, -1) if self.share % size == 0]


def divide_batch(global_batch: int, per_device: int, devices: Devices) -> Batch:
    """Divide a global batch among the processes of a run, with gradient accumulation if needed.

    With accumulation, BatchNorm statistics are those of one micro-batch (over all processes under
    SyncBN), not of the global batch. Raises ValueError if the number of processes does not divide
    the global batch.

    Args:
        global_batch: number of images per optimizer step.
        per_device: maximum number of images in one forward pass of a process.
        devices: the devices of the run.
    """
    processes = devices.processes
    if global_batch % processes:
        fitting = [n for n in range(1, global_batch + 1) if global_batch % n == 0]
        raise ValueError(
            f"the global batch {global_batch} does not divide among {processes} processes; "
            f"use one of {', '.join(map(str, fitting))}"
        )
    share = global_batch // processes
    micro = max(size for size in range(1, min(per_device, share) + 1) if share % size == 0)
    return Batch(processes, micro, share // micro)

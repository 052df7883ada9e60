"""mmengine hook for each process of a training: seeds, stop signals, buffers, loader workers."""

from typing import Any

import torch
from mmengine.dist import broadcast, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner

from isnet.data.loading.manifest_dataset import seed_from
from isnet.distributed.stop_signals import StopRequest


class ProcessHook(Hook):
    """Hook for the random numbers, stop signals, buffers and loader workers of a training process.

    - torch's generators are seeded by iteration and rank, so that dropout after a resume equals
      that of an uninterrupted run.
    - Stop signals are deferred from the first step on. Before it there is nothing to save.
    - All ranks get the buffers of rank 0 before a validation.
    - Loader workers are shut down after the training.
    """

    priority = "VERY_HIGH"  # before the journal records a step that a signal could still discard

    def __init__(self, seed: int, stop_request: StopRequest) -> None:
        self.seed = seed
        self.stop_request = stop_request

    def before_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        """Seed torch's random number generators on all devices."""
        torch.manual_seed(seed_from(self.seed, batch_idx, get_rank(), 1))

    def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        """Defer stop signals, because there is now something to save."""
        self.stop_request.defer()

    def before_val(self, runner: Runner) -> None:
        """Broadcast the buffers of rank 0 to all ranks, because a checkpoint has only these.

        Plain BatchNorm has other running statistics in each rank. Without the broadcast, a resumed
        training would get other scores.
        """
        if get_world_size() > 1:
            for buffer in runner.model.buffers():
                broadcast(buffer)

    def after_train(self, runner: Runner) -> None:
        """Shut down the workers of the training and validation loaders."""
        iterators = [runner.train_loop.dataloader_iterator._iterator]
        if runner.val_loop is not None:
            iterators.append(runner.val_loop.dataloader._iterator)
        for iterator in iterators:
            if hasattr(iterator, "_shutdown_workers"):
                iterator._shutdown_workers()

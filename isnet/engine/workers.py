"""Data workers in a process that may be asked to stop: they live until it shuts them down."""

from __future__ import annotations

import signal

from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner

from isnet.engine.interruption import STOPPING

__all__ = ["ShutdownWorkersHook", "ignore_signals"]


@FUNCTIONS.register_module()
def ignore_signals(worker_id: int) -> None:
    """Let data workers live through a signal to the whole process group: the main process shuts
    them down.
    """
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


class ShutdownWorkersHook(Hook):
    """Ends the data workers after training; at exit they would be sent the SIGTERM that they
    ignore, and waited for.
    """

    def after_train(self, runner: Runner) -> None:
        """Shut down the workers of both loaders."""
        iterators = [runner.train_loop.dataloader_iterator._iterator]
        if runner.val_loop is not None:
            iterators.append(runner.val_loop.dataloader._iterator)
        for iterator in iterators:
            if hasattr(iterator, "_shutdown_workers"):
                iterator._shutdown_workers()

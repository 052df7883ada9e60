"""Signals that ask a training to stop: it saves a checkpoint first, and the same command continues
it.
"""

from __future__ import annotations

import signal
from types import FrameType

from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner
from mmseg.registry import HOOKS

__all__ = ["Interruption", "ShutdownWorkersHook", "ignore_signals"]

_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGURG)
"""SIGURG is what Slurm sends before the time limit: every other process of a job ignores it."""


class Interruption:
    """Remembers that somebody asked to stop; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.asked: str | None = None

    def install(self) -> None:
        """Take over the stopping signals of this process."""
        for number in _STOPPING:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name


@FUNCTIONS.register_module()
def ignore_signals(worker_id: int) -> None:
    """Let data workers live through a signal to the whole process group: the main process shuts
    them down.
    """
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)


@HOOKS.register_module()
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

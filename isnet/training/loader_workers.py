"""Data workers in a process that may be asked to stop: they live until it ends them or dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner

from isnet.distributed.parent_death import end_with_parent
from isnet.distributed.stop_signals import STOP_SIGNALS

__all__ = ["ShutdownWorkersHook", "ignore_signals"]

_mask_of_parent: list[set[int]] = []


def _hold_signals_back() -> None:
    _mask_of_parent.append(signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS))


def _let_signals_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask_of_parent.pop())


# A worker never lets them through: one signal to the whole group must not end it, not even in its
# first moments, before torch calls `ignore_signals`.
os.register_at_fork(before=_hold_signals_back, after_in_parent=_let_signals_through)


@FUNCTIONS.register_module()
def ignore_signals(worker_id: int) -> None:
    """Let a data worker live through stopping signals, unless they come from its parent, and end
    when that one dies.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None
    end_with_parent(signal.SIGKILL, parent.pid)
    threading.Thread(target=_obey, args=(parent.pid,), daemon=True).start()


def _obey(parent: int) -> None:
    """End on the SIGTERM by which multiprocessing, at exit, ends the workers that it then waits
    for.
    """
    while True:
        heard = signal.sigwaitinfo(STOP_SIGNALS)
        if heard.si_signo == signal.SIGTERM and heard.si_pid == parent:
            os._exit(0)


class ShutdownWorkersHook(Hook):
    """Ends the data workers after training."""

    def after_train(self, runner: Runner) -> None:
        """Shut down the workers of both loaders."""
        iterators = [runner.train_loop.dataloader_iterator._iterator]
        if runner.val_loop is not None:
            iterators.append(runner.val_loop.dataloader._iterator)
        for iterator in iterators:
            if hasattr(iterator, "_shutdown_workers"):
                iterator._shutdown_workers()

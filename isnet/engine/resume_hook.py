"""Saves a training and takes it up again; random numbers follow from the iteration, so nothing of
them is saved.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from isnet.engine.checkpoints import CheckpointFolder, save_torch
from isnet.engine.interruption import Interruption
from isnet.engine.journal_hook import JournalHook
from isnet.feed.exact_sampler import seed_from

__all__ = ["ResumeHook", "SeedHook", "model_weights"]


def model_weights(runner: Runner) -> dict[str, torch.Tensor]:
    """Return the bare model's state dict."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    weights: dict[str, torch.Tensor] = model.state_dict()
    return weights


class SeedHook(Hook):
    """Seeds each iteration by its number, so that dropout after a resume is what it would have
    been.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed every device's generator."""
        torch.manual_seed(seed_from(self.seed, batch_idx, get_rank(), 1))


class ResumeHook(Hook):
    """Writes checkpoints, keeps the best weights, restores, and stops when asked to.

    Args:
        folder: where checkpoints are.
        state: the checkpoint to go on from, if any.
        interval: micro-iterations between checkpoints.
        interruption: says that somebody asked to stop.
        journal: its open interval is saved with the rest.
        best: file of the best weights.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        folder: CheckpointFolder,
        state: dict[str, Any] | None,
        *,
        interval: int,
        interruption: Interruption,
        journal: JournalHook,
        best: Path,
    ) -> None:
        self.folder = folder
        self.state = state
        self.interval = interval
        self.interruption = interruption
        self.journal = journal
        self.best_file = best
        self.best: dict[str, Any] = state["best"] if state else {}
        self.earlier_seconds: float = state["seconds"] if state else 0.0
        self.begun = time.perf_counter()
        self.stopping = False

    @property
    def seconds(self) -> float:
        """Training time over all attempts."""
        return self.earlier_seconds + time.perf_counter() - self.begun

    def before_train(self, runner: Runner) -> None:
        """Restore; mmengine's loop then moves the sampler to the iteration."""
        if self.state is None:
            return
        state = self.state
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.load_state_dict(state["model"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        for scheduler, saved in zip(runner.param_schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        runner.train_loop._iter = state["iteration"]
        runner.optim_wrapper.initialize_count_status(
            runner.model, state["iteration"], runner.max_iters
        )
        self.journal.restore(state["journal"])
        self.state = None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save where it is due; where a validation follows, after that one, so that it is never
        lost.
        """
        done = batch_idx + 1
        if self._validates(runner, done):
            return
        if self._asked() or done % self.interval == 0:
            self._save(runner, done)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the best weights, and save."""
        score = (metrics or {})["val/mIoU"]
        if score > self.best.get("mIoU", -1.0):
            self.best = {"iteration": runner.iter // self.journal.accumulation, "mIoU": score}
            if get_rank() == 0:
                save_torch(self.best_file, {"state_dict": model_weights(runner)})
        self._asked()
        self._save(runner, runner.iter)

    def _validates(self, runner: Runner, done: int) -> bool:
        loop = runner.train_loop
        if runner.val_loop is None or done < loop.val_begin:
            return False
        return bool(done % loop.val_interval == 0 or done == loop.max_iters)

    def _asked(self) -> bool:
        """Whether any rank was asked to stop; then all stop, at the same iteration."""
        asked = self.interruption.asked is not None
        if torch.distributed.is_initialized():
            flag = torch.tensor(int(asked))
            if torch.distributed.get_backend() == "nccl":
                flag = flag.cuda()
            torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
            asked = bool(flag.item())
        self.stopping = asked
        return asked

    def _save(self, runner: Runner, iteration: int) -> None:
        if self.stopping:
            runner.train_loop.stop_training = True
        if get_rank() != 0:
            return
        self.folder.save(
            iteration,
            {
                "iteration": iteration,
                "model": model_weights(runner),
                "optimizer": runner.optim_wrapper.state_dict(),
                "schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers],
                "journal": self.journal.state(),
                "best": self.best,
                "seconds": self.seconds,
            },
        )

"""Saves a training and takes it up again; random numbers follow from the iteration, so nothing of
them is saved.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from isnet.checkpoints.checkpoint_folder import CheckpointFolder, save_torch
from isnet.data.loading.sampler import seed_from
from isnet.distributed.async_flag import AsyncFlag
from isnet.distributed.stop_signals import StopRequest
from isnet.training.hooks.journal_hook import JournalHook
from isnet.training.hooks.nonfinite_hook import NonFiniteHook
from isnet.training.hooks.weight_average import WeightAverage
from isnet.training.validation_loop import ValidationStopped

__all__ = ["CheckpointHook", "DeferSignalsHook", "IterationSeedHook", "model_weights"]

_STEPS = ("last_step", "_global_step")
"""What mmengine's schedulers count."""
_LENGTHS = ("begin", "end", "total_iters", "T_max")
"""What follows from the config, stretched for these devices."""


def model_weights(runner: Runner) -> dict[str, torch.Tensor]:
    """Return the bare model's state dict."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    weights: dict[str, torch.Tensor] = model.state_dict()
    return weights


class IterationSeedHook(Hook):
    """Seeds each iteration by its number, so that dropout after a resume is what it would have
    been.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed every device's generator."""
        torch.manual_seed(seed_from(self.seed, batch_idx, get_rank(), 1))


class DeferSignalsHook(Hook):
    """From the first step on a signal is only remembered; before, there is nothing to save."""

    priority = "VERY_HIGH"  # the journal must not tell of a step that a signal could still take

    def __init__(self, stop_request: StopRequest) -> None:
        self.stop_request = stop_request

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Defer."""
        self.stop_request.defer()


class CheckpointHook(Hook):
    """Writes checkpoints, keeps the best weights, restores, and stops when asked to.

    Args:
        folder: where checkpoints are.
        state: the checkpoint to go on from, if any.
        interval: micro-iterations between checkpoints.
        stop_request: whether a stopping signal has arrived.
        journal: its open interval is saved with the rest.
        finite: so are its counts,
        average: and the average of the weights, if there is one; the best weights are its.
        best: file of the best weights.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        folder: CheckpointFolder,
        state: dict[str, Any] | None,
        *,
        interval: int,
        stop_request: StopRequest,
        journal: JournalHook,
        finite: NonFiniteHook,
        average: WeightAverage | None,
        best: Path,
    ) -> None:
        self.folder = folder
        self.state = state
        self.interval = interval
        self.stop_request = stop_request
        self.journal = journal
        self.finite = finite
        self.average = average
        self.best_file = best
        self.best: dict[str, Any] = state["best"] if state else {}
        self.earlier_seconds: float = state["seconds"] if state else 0.0
        self.begun = time.perf_counter()
        self.agreement: AsyncFlag | None = None
        self.stopping = False
        self.validation_due = bool(state and state["validation_due"])

    @property
    def seconds(self) -> float:
        """Training time over all attempts."""
        return self.earlier_seconds + time.perf_counter() - self.begun

    def kept_weights(self, runner: Runner) -> dict[str, torch.Tensor]:
        """Return what is to be kept of the run: the weights, or their average."""
        return self.average.weights(runner) if self.average else model_weights(runner)

    def before_train(self, runner: Runner) -> None:
        """Restore; mmengine's loop then moves the sampler to the iteration."""
        self.agreement = AsyncFlag()
        if self.state is None:
            return
        state = self.state
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.load_state_dict(state["model"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        # mmengine counts micro-iterations, of which other devices may need more or fewer.
        accumulation = self.journal.accumulation
        iteration = state["iteration"] * accumulation
        for scheduler, saved in zip(runner.param_schedulers, state["schedulers"], strict=True):
            steps = {key: saved[key] * accumulation // state["accumulation"] for key in _STEPS}
            lengths = {key: getattr(scheduler, key) for key in _LENGTHS if key in saved}
            scheduler.load_state_dict(saved | steps | lengths)
        runner.train_loop._iter = iteration
        runner.optim_wrapper.initialize_count_status(runner.model, iteration, runner.max_iters)
        self.journal.restore(state["journal"])
        self.finite.restore(state["finite"])
        if self.average:
            self.average.restore(state["average"])
        self.state = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Validate now, if the training was stopped in the midst of it."""
        if self.validation_due:
            runner.val_loop.run()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save where it is due; where a validation follows, after that one, so that it is never
        lost.
        """
        done = batch_idx + 1
        if done % self.journal.accumulation:
            return  # gradients are summed up, and no checkpoint has them
        if self._validates(runner, done):
            return
        if self._asked() or done % self.interval == 0:
            self._save(runner, done)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Save and leave if somebody has asked to stop: a validation may take minutes.

        Raises:
            ValidationStopped: in all processes, after the same batch.
        """
        if self._asked():
            self.validation_due = True
            if self.average:
                self.average.after_val_epoch(runner)  # the model's own weights are saved
            self._save(runner, runner.iter)
            raise ValidationStopped

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the best weights, and save."""
        self.validation_due = False
        score = (metrics or {})["val/mIoU"]
        if score > self.best.get("mIoU", -1.0):
            self.best = {"iteration": runner.iter // self.journal.accumulation, "mIoU": score}
            if get_rank() == 0:
                save_torch(self.best_file, {"state_dict": self.kept_weights(runner)})
        self._asked()
        self._save(runner, runner.iter)

    def _validates(self, runner: Runner, done: int) -> bool:
        loop = runner.train_loop
        if runner.val_loop is None or done < loop.val_begin:
            return False
        return bool(done % loop.val_interval == 0 or done == loop.max_iters)

    def _asked(self) -> bool:
        """Whether any process was asked to stop; then all stop, after the same step."""
        assert self.agreement
        self.stopping = self.agreement.any_rank(self.stop_request.signal_name is not None)
        return self.stopping

    def _save(self, runner: Runner, iteration: int) -> None:
        if self.stopping:
            runner.train_loop.stop_training = True
        if get_rank() != 0:
            return
        self.folder.save(
            iteration // self.journal.accumulation,
            {
                "iteration": iteration // self.journal.accumulation,
                "accumulation": self.journal.accumulation,
                "processes": get_world_size(),
                "model": model_weights(runner),
                "optimizer": runner.optim_wrapper.state_dict(),
                "schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers],
                "journal": self.journal.state(),
                "finite": self.finite.state(),
                "average": self.average.state() if self.average else None,
                "best": self.best,
                "validation_due": self.validation_due,
                "seconds": self.seconds,
            },
        )

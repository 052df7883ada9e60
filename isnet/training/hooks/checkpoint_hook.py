"""mmengine hook that saves and restores the state of a training, and stops it on a signal."""

import time
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import LOOPS
from mmengine.runner import Runner, ValLoop
from torch import distributed

from isnet.checkpoints.checkpoint_folder import CheckpointFolder, save_torch
from isnet.distributed.stop_signals import StopRequest
from isnet.training.hooks.weight_average import bare_model
from isnet.training.runner_config import SCHEDULE_LENGTHS
from isnet.training.train_job import TrainJob

_STEPS = ("last_step", "_global_step")
"""Attributes of mmengine's parameter schedulers that count micro-iterations."""

_MIN_CHECKPOINTS, _MAX_INTERVAL = 10, 1000


class CheckpointHook(Hook):
    """Hook that saves checkpoints and the best weights, resumes a training, and stops on a signal.

    Random number generators are not saved, because they are seeded by the iteration.

    Args:
        job: the training.
        folder: where checkpoints are written.
        state: the checkpoint to resume from, if any.
        stop_request: records a signal that asks to stop.
        stateful: hooks whose `state()` is saved, by their key in the checkpoint. With a
            `WeightAverage` under the key `average`, the best weights are averages.
    """

    priority = "LOWEST"  # and registered last: it saves what other hooks have changed

    def __init__(
        self,
        job: TrainJob,
        folder: CheckpointFolder,
        state: dict[str, Any] | None,
        stop_request: StopRequest,
        stateful: dict[str, Any],
    ) -> None:
        self.folder = folder
        self.state = state
        self.accumulation = job.planned.batch.accumulation
        # A failure costs only minutes.
        most = min(_MAX_INTERVAL, job.planned.experiment.iterations // _MIN_CHECKPOINTS)
        interval = job.hook_interval("checkpoint", default=_MAX_INTERVAL, most=most)
        self.interval = interval * self.accumulation
        self.stop_request = stop_request
        self.stateful = stateful
        self.average = stateful.get("average")
        self.metric = job.planned.run.best
        self.best_file = job.work / "best.pth"
        self.best: dict[str, Any] = state["best"] if state else {}
        self.begun = time.perf_counter() - (state["seconds"] if state else 0.0)
        self.any_rank = _AnyRank()
        self.stopping = False
        self.validation_due = bool(state and state["validation_due"])
        self.ended = bool(state and state.get("ended"))

    @property
    def seconds(self) -> float:
        """Training time in seconds, including the time before each resume."""
        return time.perf_counter() - self.begun

    def kept_weights(self, runner: Runner) -> dict[str, torch.Tensor]:
        """Return the state dict of the model, or of its weight average if there is one."""
        weights: dict[str, torch.Tensor] = (
            self.average.weights(runner) if self.average else bare_model(runner).state_dict()
        )
        return weights

    def before_train(self, runner: Runner) -> None:
        """Restore the checkpoint to resume from, if any.

        mmengine's loop then advances the sampler to the iteration of the checkpoint.
        """
        if self.state is None:
            return
        state, self.state = self.state, None
        bare_model(runner).load_state_dict(state["model"])
        runner.optim_wrapper.load_state_dict(state["optimizer"])
        # mmengine counts micro-iterations; other devices may accumulate more or fewer.
        iteration = state["iteration"] * self.accumulation
        for scheduler, saved in zip(runner.param_schedulers, state["schedulers"], strict=True):
            steps = {key: saved[key] * self.accumulation // state["accumulation"] for key in _STEPS}
            lengths = {key: getattr(scheduler, key) for key in SCHEDULE_LENGTHS if key in saved}
            scheduler.load_state_dict(saved | steps | lengths)
        runner.train_loop._iter = iteration
        runner.train_loop.stop_training = self.ended
        runner.optim_wrapper.initialize_count_status(runner.model, iteration, runner.max_iters)
        for name, hook in self.stateful.items():
            hook.restore(state[name])

    def before_train_epoch(self, runner: Runner) -> None:
        """Repeat the validation in which the training was stopped, if any."""
        if self.validation_due:
            runner.val_loop.run()

    def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        """Save a checkpoint if one is due, or if a stop was requested.

        If a validation follows, the checkpoint is saved after the validation instead. A resume from
        an earlier checkpoint would skip that validation.
        """
        done = batch_idx + 1
        if done % self.accumulation:
            return  # gradients are being accumulated, and no checkpoint has them
        loop = runner.train_loop
        if runner.val_loop is not None and done >= loop.val_begin:
            if done % loop.val_interval == 0 or done == loop.max_iters:
                return
        if self._stop_requested() or done % self.interval == 0:
            self._save(runner, done)

    def after_val_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        """If a stop was requested, save a checkpoint and leave the validation early.

        All processes leave the validation after the same batch.
        """
        if self._stop_requested():
            self.validation_due = True
            if self.average:
                self.average.after_val_epoch(runner)  # the model's own weights are saved
            self._save(runner, runner.iter)
            raise _ValidationStopped

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Save the weights if their mIoU is the best so far, and save a checkpoint."""
        self.validation_due = False
        score = (metrics or {})[self.metric]
        if score > self.best.get(self.metric, -1.0):
            self.best = {"iteration": runner.iter // self.accumulation, self.metric: score}
            if get_rank() == 0:
                save_torch(self.best_file, {"state_dict": self.kept_weights(runner)})
        self._stop_requested()
        self._save(runner, runner.iter)

    def _stop_requested(self) -> bool:
        """Return whether any process was asked to stop. All processes get the same answer."""
        self.stopping = self.any_rank(self.stop_request.signal_name is not None)
        return self.stopping

    def _save(self, runner: Runner, iteration: int) -> None:
        # Another hook has ended the training, as EarlyStoppingHook does.
        self.ended = self.ended or (runner.train_loop.stop_training and not self.stopping)
        if self.stopping:
            runner.train_loop.stop_training = True
        if get_rank() != 0:
            return
        step = iteration // self.accumulation
        state = {
            "iteration": step,
            "accumulation": self.accumulation,
            "processes": get_world_size(),
            "model": bare_model(runner).state_dict(),
            "optimizer": runner.optim_wrapper.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in runner.param_schedulers],
            **{name: hook.state() for name, hook in self.stateful.items()},
            "best": self.best,
            "validation_due": self.validation_due,
            "ended": self.ended,
            "seconds": self.seconds,
        }
        self.folder.save(step, state)


class _ValidationStopped(Exception):
    """Raised by `CheckpointHook` to leave a validation early."""


@LOOPS.register_module()
class StoppableValLoop(ValLoop):
    """mmengine's ValLoop that `CheckpointHook` can stop early; a resumed training repeats it."""

    def run(self) -> dict[str, Any]:
        """Run the validation and return its scores, or an empty dict if it was stopped."""
        try:
            scores: dict[str, Any] = super().run()
        except _ValidationStopped:
            return {}
        return scores


class _AnyRank:
    """Asynchronous logical OR over all ranks, with the result of each call returned by the next.

    All ranks must make the same calls, so that they all act in the same iteration. The reduction
    runs on the CPUs (gloo), so that no GPU is synchronised. A single process gets its own value
    back at once.
    """

    def __init__(self) -> None:
        self._group: Any = None
        self._pending: tuple[torch.Tensor, Any] | None = None
        if get_world_size() > 1:
            self._group = distributed.new_group(backend="gloo")

    def __call__(self, mine: bool) -> bool:
        if self._group is None:
            return mine
        previous = False
        if self._pending is not None:
            value, reduction = self._pending
            reduction.wait()
            previous = bool(value.item())
        value = torch.tensor(int(mine))
        reduction = distributed.all_reduce(
            value, distributed.ReduceOp.MAX, group=self._group, async_op=True
        )
        self._pending = value, reduction
        return previous

"""mmengine hook that records losses, speed, memory and validation scores of a training."""

import logging
import time
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from isnet.io.console import ProgressCallback
from isnet.metrics.benchmark_scores import null
from isnet.tracking.journal import Journal
from isnet.training.data_loading_advice import DataLoadingAdvice
from isnet.training.out_of_memory import peak_memory_gb
from isnet.training.train_job import TrainJob

_log = logging.getLogger(__name__)

_MIN_RECORDS = 50
"""Number of loss records of any training, unless it has fewer steps."""


class JournalHook(Hook):
    """Hook that appends a record to the journal at regular intervals and after each validation.

    The interval is that of the config, but at most a fiftieth of the training. Losses are summed on
    the device and read once per interval, so that no step waits for the host. Rank 0 writes the
    journal. `show` shows the progress; it is None on ranks that show nothing.
    """

    priority = "NORMAL"

    def __init__(
        self,
        job: TrainJob,
        journal: Journal,
        advice: DataLoadingAdvice,
        show: ProgressCallback | None,
    ) -> None:
        self.journal = journal
        self.accumulation = job.planned.batch.accumulation
        most = job.planned.experiment.iterations // _MIN_RECORDS
        self.interval = job.hook_interval("logger", default=50, most=most)
        self.images_per_step = job.planned.experiment.global_batch
        self.advice = advice
        self.show = show
        self.is_warm = False
        self.done = 0
        self.sums: dict[str, torch.Tensor | float] = {}
        self.count = 0
        self.note = ""
        self.metric = job.planned.run.best
        self.last_score: float | None = None
        self._restart_clock()

    def state(self) -> dict[str, Any]:
        """Return the loss sums of the current interval for a checkpoint.

        With them, a resumed training writes the same losses as an uninterrupted one.
        """
        sums = {name: float(value) for name, value in self.sums.items()}
        return {"sums": sums, "count": self.count, "last_score": self.last_score}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the loss sums that `state` has returned for a checkpoint."""
        self.sums = dict(state["sums"])
        self.count, self.last_score = state["count"], state.get("last_score")

    def _restart_clock(self) -> None:
        self.interval_begun = self.step_ended = time.perf_counter()
        self.waited = 0.0
        self.timed_steps = 0

    def before_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        """Count the time since the last step as waiting for data."""
        self.waited += time.perf_counter() - self.step_ended

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Add the losses of a micro-batch, and write a record at the end of an interval."""
        for name, value in (outputs or {}).items():
            if "loss" in name:
                # A non-finite loss belongs to a skipped step.
                finite = _to_float64(value.detach()).nan_to_num(0.0, 0.0, 0.0)
                self.sums[name] = self.sums.get(name, 0.0) + finite
        self.count += 1
        self.timed_steps += 1
        self.done = (batch_idx + 1) // self.accumulation
        if (batch_idx + 1) % (self.interval * self.accumulation) == 0:
            self._record(runner)
        self.step_ended = time.perf_counter()
        if self.show:
            self.show(self.done, runner.max_iters // self.accumulation, self.note)

    def _record(self, runner: Runner) -> None:
        elapsed = time.perf_counter() - self.interval_begun
        # The means over the interval and all ranks, read in one copy.
        means = torch.stack([torch.as_tensor(total) for total in self.sums.values()]) / self.count
        all_reduce(means, "mean")
        images = self.timed_steps / self.accumulation * self.images_per_step
        record = {
            "kind": "train",
            "iteration": self.done,
            "time": time.time(),
            **dict(zip(self.sums, means.tolist(), strict=True)),
            "lr": runner.optim_wrapper.get_lr()["lr"][0],
            "images_per_second": images / elapsed,
            "data_wait": self.waited / elapsed,
            "memory_gb": peak_memory_gb(),
        }
        self._write(record)
        if self.is_warm and (line := self.advice.update(self.waited, elapsed)):
            _log.info(line)
        self.is_warm = True  # the first interval waits for workers to start
        self.note = _format_figures(record, self.metric, self.last_score)
        self.sums, self.count = {}, 0
        self._restart_clock()

    def _write(self, record: dict[str, Any]) -> None:
        if get_rank() == 0:
            self.journal.append(record)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the validation's scores; its time does not count as waiting for data."""
        scores = {name: null(value) for name, value in (metrics or {}).items()}
        iteration = runner.iter // self.accumulation
        self._write({"kind": "validation", "iteration": iteration, "time": time.time(), **scores})
        self.last_score = scores[self.metric]
        self._restart_clock()


def _format_figures(record: dict[str, Any], metric: str, score: float | None) -> str:
    parts = [
        f"loss {record['loss']:.3f}",
        f"lr {record['lr']:.4f}",
        f"{record['images_per_second']:.1f} images/s",
        f"wait {record['data_wait']:.0%}",
        f"{record['memory_gb']:.1f} GB",
    ]
    return "  ".join([*parts, *([f"{metric} {score:.1%}"] if score is not None else [])])


def _to_float64(x: torch.Tensor) -> torch.Tensor:
    # Apple's GPU has no float64.
    return (x.cpu() if x.device.type == "mps" else x).double()

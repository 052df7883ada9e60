"""Logs skipped non-finite steps with their images, and stops a run that has too many."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, NoReturn

import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from isnet.errors import UserError
from isnet.settings.params import Precision
from isnet.training.nonfinite_guard import GuardedOptimWrapper

_log = logging.getLogger(__name__)

_WHAT = "the loss or its gradients"


class _Step:
    """An optimizer step whose fault flags are being copied to the host."""

    def __init__(self, iteration: int, images: list[list[str]], faults: torch.Tensor) -> None:
        self.iteration = iteration
        self.images = images
        """Paths of this process's images, by micro-batch."""
        self._faults = faults.to("cpu", non_blocking=True)
        self._copied = torch.cuda.Event() if faults.is_cuda else None  # type: ignore[no-untyped-call]
        if self._copied:
            self._copied.record()

    def read(self) -> tuple[bool, list[str], list[str]]:
        """Wait for the copy; return whether the step is a fault, this process's images with a
        non-finite loss, and all its images.
        """
        if self._copied:
            self._copied.synchronize()
        is_fault, *bad_losses = self._faults.tolist()
        bad = [paths for paths, is_bad in zip(self.images, bad_losses, strict=True) if is_bad]
        return bool(is_fault), list(chain(*bad)), list(chain(*self.images))


@dataclass(frozen=True)
class _Fault:
    iteration: int
    bad_images: list[str]
    images: list[str]
    in_a_row: int
    in_all: int


class NonFiniteHook(Hook):
    """Logs each skipped step in one line, and stops a run with too many.

    On a GPU the flags of a step are read after the next step was queued, so that nothing waits. All
    processes read the same flags, so all stop in the same iteration.

    Args:
        accumulation: micro-iterations per optimizer step.
        precision: number format, for the hint.
        last_checkpoint: returns the name of the newest checkpoint, for the message.
        most_in_a_row: consecutive steps that may be skipped.
        most_in_all: steps that may be skipped in the whole run, resumes included.
    """

    priority = "NORMAL"

    def __init__(
        self,
        *,
        accumulation: int,
        precision: Precision,
        last_checkpoint: Callable[[], str],
        most_in_a_row: int = 5,
        most_in_all: int = 50,
    ) -> None:
        self.accumulation = accumulation
        self.precision = precision
        self.last_checkpoint = last_checkpoint
        self.most_in_a_row = most_in_a_row
        self.most_in_all = most_in_all
        self.in_a_row = self.in_all = 0
        self._images: list[list[str]] = []
        self._unread: _Step | None = None
        self._unreported: list[_Fault] = []

    def state(self) -> dict[str, int]:
        """Return the counts for a checkpoint, the last step included."""
        self._read()
        return {"in_a_row": self.in_a_row, "in_all": self.in_all}

    def restore(self, state: dict[str, int]) -> None:
        """Restore the counts of a checkpoint."""
        self.in_a_row, self.in_all = state["in_a_row"], state["in_all"]

    def before_train(self, runner: Runner) -> None:
        """Log if the config's own optimizer wrapper has no guard."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, GuardedOptimWrapper) and get_rank() == 0:
            _log.info(f"{type(wrapper).__name__} does not skip non-finite steps")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Read the flags of the step before; on a CPU, of this one.

        Raises:
            UserError: too many steps were skipped.
        """
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, GuardedOptimWrapper):
            return
        self._images.append(_image_paths(data_batch))
        if (batch_idx + 1) % self.accumulation:
            return
        self._read()
        self._unread = _Step((batch_idx + 1) // self.accumulation, self._images, wrapper.faults)
        self._images = []
        if not wrapper.faults.is_cuda:
            self._read()
        self._report(wrapper)

    def after_train(self, runner: Runner) -> None:
        """Read the flags of the last step.

        Raises:
            UserError: too many steps were skipped.
        """
        self._read()
        self._report(runner.optim_wrapper)

    def _read(self) -> None:
        """Count the unread step; without communication, since one process writes checkpoints."""
        if self._unread is None:
            return
        step, self._unread = self._unread, None
        is_fault, bad, images = step.read()
        self.in_a_row = self.in_a_row + 1 if is_fault else 0
        if is_fault:
            self.in_all += 1
            self._unreported.append(_Fault(step.iteration, bad, images, self.in_a_row, self.in_all))

    def _report(self, wrapper: GuardedOptimWrapper) -> None:
        """Log new faults, with the images of all processes; stop after too many."""
        faults, self._unreported = self._unreported, []
        for fault in faults:
            images = _gather_images(fault)
            if fault.in_a_row > self.most_in_a_row or fault.in_all > self.most_in_all:
                self._stop(fault, images, wrapper)
            if get_rank() == 0:
                _log.info(
                    f"iteration {fault.iteration} is skipped: {_WHAT} are not finite "
                    f"({fault.in_a_row} in a row, {fault.in_all} in all); images {images}"
                )

    def _stop(self, fault: _Fault, images: str, wrapper: GuardedOptimWrapper) -> NoReturn:
        hints = ["Check these files", "lower optim_wrapper.optimizer.lr"]
        if wrapper.clip_grad_kwargs is None:
            hints.append("clip: overrides: {optim_wrapper: {clip_grad: {max_norm: 1}}}")
        if self.precision != "float32":
            better = "bf16 or float32" if self.precision == "fp16" else "float32"
            hints.append(f"write precision: {better}")
        raise UserError(
            f"{_WHAT} are not finite, {fault.in_a_row} times in a row and {fault.in_all} in all; "
            f"images {images}; the weights are unaffected; "
            f"last checkpoint: {self.last_checkpoint()}",
            where=f"iteration {fault.iteration}",
            hint="; or ".join(hints),
        )


def _image_paths(data_batch: Any) -> list[str]:
    samples = data_batch.get("data_samples", []) if isinstance(data_batch, dict) else []
    return [str(getattr(sample, "img_path", "?")) for sample in samples]


def _gather_images(fault: _Fault) -> str:
    """List the images with a non-finite loss, or all of the step if no loss is; by rank if there
    are several.
    """
    gathered = all_gather_object((fault.bad_images, fault.images))
    any_bad = any(bad for bad, _ in gathered)
    listed = [bad if any_bad else images for bad, images in gathered]
    if len(listed) == 1:
        return ", ".join(listed[0])
    ranks = [f"rank {rank}: {', '.join(images)}" for rank, images in enumerate(listed) if images]
    return "; ".join(ranks)

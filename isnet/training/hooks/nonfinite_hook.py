"""Counts and tells of the steps that were left out because they were not finite; stops after too
many.
"""

from __future__ import annotations

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

__all__ = ["NonFiniteHook"]

_log = logging.getLogger(__name__)

_WHERE = "the loss or its gradients"


class _Arriving:
    """A few numbers on their way to the host; reading them before they are there waits."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values.to("cpu", non_blocking=True)
        self.event = torch.cuda.Event() if values.is_cuda else None  # type: ignore[no-untyped-call]
        if self.event:
            self.event.record()

    def read(self) -> list[float]:
        if self.event:
            self.event.synchronize()
        numbers: list[float] = self.values.tolist()
        return numbers


@dataclass(frozen=True)
class _Step:
    """An optimizer step: its number, its images by micro-batch, and whether it was at fault."""

    iteration: int
    images: list[list[str]]
    faults: _Arriving


@dataclass(frozen=True)
class _Fault:
    iteration: int
    culprits: list[str]
    """Images whose loss was not finite, in this process."""
    images: list[str]
    in_a_row: int
    in_all: int


class NonFiniteHook(Hook):
    """Says in one line which steps were left out, and ends a run that has too many.

    On a GPU a step's verdict is read after the next step was sent off: nothing waits. All processes
    read the same verdicts, so all end in the same iteration.

    Args:
        accumulation: micro-iterations per optimizer step.
        precision: what the hint depends on.
        last_checkpoint: names the newest checkpoint with its iteration; asked when a run ends here.
        most_in_a_row: so many steps in a row may be left out.
        most_in_all: so many in the whole run, also over resumes.
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
        self._untold: list[_Fault] = []

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps: the counts with the step just done."""
        self._read()
        return {"in_a_row": self.in_a_row, "in_all": self.in_all}

    def restore(self, state: dict[str, int]) -> None:
        """Take up a checkpoint's state."""
        self.in_a_row, self.in_all = state["in_a_row"], state["in_all"]

    def before_train(self, runner: Runner) -> None:
        """Say so where nothing is guarded: a config may name a wrapper of its own."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, GuardedOptimWrapper) and get_rank() == 0:
            _log.info(f"{type(wrapper).__name__} also takes steps that are not finite")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Read the verdict of the step before; on a CPU, of this one.

        Raises:
            UserError: too many steps were left out.
        """
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, GuardedOptimWrapper):
            return
        self._images.append(_images(data_batch))
        if (batch_idx + 1) % self.accumulation:
            return
        self._read()
        iteration = (batch_idx + 1) // self.accumulation
        self._unread = _Step(iteration, self._images, _Arriving(wrapper.faults))
        self._images = []
        if not wrapper.faults.is_cuda:
            self._read()
        self._tell(wrapper)

    def after_train(self, runner: Runner) -> None:
        """Read the last step's verdict.

        Raises:
            UserError: too many steps were left out.
        """
        self._read()
        self._tell(runner.optim_wrapper)

    def _read(self) -> None:
        """Count the unread step. Speaks to no other process: checkpoints are written by one."""
        if self._unread is None:
            return
        step, self._unread = self._unread, None
        at_fault, *losses = step.faults.read()
        self.in_a_row = self.in_a_row + 1 if at_fault else 0
        if not at_fault:
            return
        self.in_all += 1
        culprits = [images for images, bad in zip(step.images, losses, strict=True) if bad]
        fault = _Fault(
            step.iteration, [*chain(*culprits)], [*chain(*step.images)], self.in_a_row, self.in_all
        )
        self._untold.append(fault)

    def _tell(self, wrapper: GuardedOptimWrapper) -> None:
        """Every process has the same faults to tell, and other images."""
        untold, self._untold = self._untold, []
        for fault in untold:
            images = _of_all_processes(fault)
            if fault.in_a_row > self.most_in_a_row or fault.in_all > self.most_in_all:
                self._stop(fault, images, wrapper)
            if get_rank() == 0:
                _log.info(
                    f"iteration {fault.iteration} is left out: {_WHERE} are not finite "
                    f"({fault.in_a_row} in a row, {fault.in_all} in all); images {images}"
                )

    def _stop(self, fault: _Fault, images: str, wrapper: GuardedOptimWrapper) -> NoReturn:
        hints = ["Look at these files", "lower optim_wrapper.optimizer.lr"]
        if wrapper.clip_grad_kwargs is None:
            hints.append("clip: overrides: {optim_wrapper: {clip_grad: {max_norm: 1}}}")
        if self.precision != "float32":
            better = "bf16 or float32" if self.precision == "fp16" else "float32"
            hints.append(f"write precision: {better}")
        raise UserError(
            f"{_WHERE} are not finite, {fault.in_a_row} times in a row and {fault.in_all} in all; "
            f"images {images}; nothing of it is in the weights; "
            f"last checkpoint: {self.last_checkpoint()}",
            where=f"iteration {fault.iteration}",
            hint="; or ".join(hints),
        )


def _images(data_batch: Any) -> list[str]:
    samples = data_batch.get("data_samples", []) if isinstance(data_batch, dict) else []
    return [str(getattr(sample, "img_path", "?")) for sample in samples]


def _of_all_processes(fault: _Fault) -> str:
    """Name the images whose loss was not finite, or else all of the step; with several processes,
    by rank.
    """
    gathered = all_gather_object((fault.culprits, fault.images))
    known = any(culprits for culprits, _ in gathered)
    named = [culprits if known else images for culprits, images in gathered]
    if len(named) == 1:
        return ", ".join(named[0])
    parts = [f"rank {rank}: {', '.join(images)}" for rank, images in enumerate(named) if images]
    return "; ".join(parts)

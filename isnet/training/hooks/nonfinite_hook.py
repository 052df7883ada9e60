"""mmengine hook that logs non-finite steps with their images, and stops after too many."""

import logging
from collections.abc import Callable
from itertools import chain
from typing import Any, NoReturn

import torch
from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from isnet.errors import UserError
from isnet.settings.params import Precision
from isnet.training.optim_wrappers import GuardedOptimWrapper

_log = logging.getLogger(__name__)

_MOST_IN_A_ROW = 5
_MOST_IN_ALL = 50
"""Maximum number of skipped steps in the whole run, including those before a resume."""
_WHAT = "the loss or its gradients"


class _Step:
    """An optimizer step with its images and its fault flags, which are copied to the host.

    `iteration` counts from 1; `images` are the paths of this process's images, by micro-batch.
    `in_a_row` and `in_all` are the numbers of consecutive and of all faults up to this step, set
    only if the step is a fault.
    """

    def __init__(self, iteration: int, images: list[list[str]], faults: torch.Tensor) -> None:
        self.iteration = iteration
        self.images = images
        self.in_a_row = self.in_all = 0
        self._faults = faults.to("cpu", non_blocking=faults.is_cuda)
        self._copied = torch.cuda.Event() if faults.is_cuda else None  # type: ignore[no-untyped-call]
        if self._copied:
            self._copied.record()

    def flags(self) -> list[float]:
        """Wait for the copy to the host and return the values of `GuardedOptimWrapper.faults`."""
        if self._copied:
            self._copied.synchronize()
        return list(self._faults.tolist())


class NonFiniteHook(Hook):
    """Hook that logs each step skipped for non-finite numbers, and stops a run after too many.

    On a GPU, the flags of a step are read after the next step was queued, so that nothing waits.
    All processes read the same flags, so all stop in the same iteration.

    Args:
        accumulation: micro-iterations per optimizer step.
        precision: number format of the training, for the hint in the error message.
        last_checkpoint: returns the name of the newest checkpoint, for the error message.
    """

    priority = "NORMAL"

    def __init__(
        self, accumulation: int, precision: Precision, last_checkpoint: Callable[[], str]
    ) -> None:
        self.accumulation = accumulation
        self.precision = precision
        self.last_checkpoint = last_checkpoint
        self.in_a_row = self.in_all = 0
        self._images: list[list[str]] = []
        self._unread: _Step | None = None
        self._unreported: list[_Step] = []

    def state(self) -> dict[str, int]:
        """Return the numbers of skipped steps for a checkpoint, including the last step."""
        self._read()
        return {"in_a_row": self.in_a_row, "in_all": self.in_all}

    def restore(self, state: dict[str, int]) -> None:
        """Restore from a checkpoint how many steps were skipped."""
        self.in_a_row, self.in_all = state["in_a_row"], state["in_all"]

    def before_train(self, runner: Runner) -> None:
        """Log if the optimizer wrapper of the config does not skip non-finite steps."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, GuardedOptimWrapper) and get_rank() == 0:
            _log.info(f"{type(wrapper).__name__} does not skip non-finite steps")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Read the fault flags of the previous step; on a CPU, of the current one.

        Raises UserError if too many steps were skipped.
        """
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, GuardedOptimWrapper):
            return
        samples = data_batch.get("data_samples", []) if isinstance(data_batch, dict) else []
        self._images.append([str(getattr(sample, "img_path", "?")) for sample in samples])
        if (batch_idx + 1) % self.accumulation:
            return
        self._read()
        self._unread = _Step((batch_idx + 1) // self.accumulation, self._images, wrapper.faults)
        self._images = []
        if not wrapper.faults.is_cuda:
            self._read()
        self._report(wrapper)

    def after_train(self, runner: Runner) -> None:
        """Read the fault flags of the last step; raise UserError if too many steps were skipped."""
        self._read()
        self._report(runner.optim_wrapper)

    def _read(self) -> None:
        """Read the flags of the last recorded step and count the step if it is a fault.

        There is no communication here, because only one process writes checkpoints.
        """
        step, self._unread = self._unread, None
        if step is None:
            return
        if not step.flags()[0]:
            self.in_a_row = 0
            return
        self.in_a_row += 1
        self.in_all += 1
        step.in_a_row, step.in_all = self.in_a_row, self.in_all
        self._unreported.append(step)

    def _report(self, wrapper: GuardedOptimWrapper) -> None:
        """Log new faults with the images of all processes, or raise UserError after too many."""
        faults, self._unreported = self._unreported, []
        for step in faults:
            images = _gather_images(step)
            if step.in_a_row > _MOST_IN_A_ROW or step.in_all > _MOST_IN_ALL:
                self._stop(step, images, wrapper)
            if get_rank() == 0:
                _log.info(
                    f"iteration {step.iteration} is skipped: {_WHAT} are not finite "
                    f"({step.in_a_row} in a row, {step.in_all} in all); images {images}"
                )

    def _stop(self, step: _Step, images: str, wrapper: GuardedOptimWrapper) -> NoReturn:
        hints = ["Check these files", "lower optim_wrapper.optimizer.lr"]
        if wrapper.clip_grad_kwargs is None:
            hints.append("clip: overrides: {optim_wrapper: {clip_grad: {max_norm: 1}}}")
        if self.precision != "float32":
            better = "bf16 or float32" if self.precision == "fp16" else "float32"
            hints.append(f"write precision: {better}")
        raise UserError(
            f"{_WHAT} are not finite, {step.in_a_row} times in a row and {step.in_all} in all; "
            f"images {images}; the weights are unaffected; "
            f"last checkpoint: {self.last_checkpoint()}",
            where=f"iteration {step.iteration}",
            hint="; or ".join(hints),
        )


def _gather_images(step: _Step) -> str:
    """Format the images with a non-finite loss of all ranks, or else all images of the step."""
    bad_losses = step.flags()[1:]
    bad = [paths for paths, is_bad in zip(step.images, bad_losses, strict=True) if is_bad]
    gathered = all_gather_object((list(chain(*bad)), list(chain(*step.images))))
    any_bad = any(bad for bad, _ in gathered)
    listed = [bad if any_bad else images for bad, images in gathered]
    if len(listed) == 1:
        return ", ".join(listed[0])
    ranks = [f"rank {rank}: {', '.join(images)}" for rank, images in enumerate(listed) if images]
    return "; ".join(ranks)

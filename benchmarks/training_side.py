"""One training of `time_to_accuracy.py`, in a process of its own: mmseg's stock path, or ours.

Called as `training_side.py public|ours RUN LAUNCHED FILE` in a prepared checkout; writes the scores
of all validations with their times, and the seconds of each part of the training, to FILE. LAUNCHED
is the time at which the process was started.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


class Clock:
    """Seconds of the parts of a training; a validation's loading belongs to the validation."""

    def __init__(self, launched: float, unit: float) -> None:
        self.launched, self.unit = launched, unit
        self.start_up = 0.0
        self.seconds = {"data wait": 0.0, "step": 0.0, "optimizer": 0.0, "validation": 0.0}
        self.validations: list[dict[str, float]] = []
        self._in_validation = False

    def time(self, owner: type, method: str, part: str) -> None:
        """Count every call of a method of a class under `part`, except in a validation."""
        original = getattr(owner, method)

        @functools.wraps(original)
        def measure(*args: Any, **options: Any) -> Any:
            if self._in_validation:
                return original(*args, **options)
            begun = time.perf_counter()
            if part == "step" and not self.start_up:
                self.start_up = time.time() - self.launched - self.seconds["data wait"]
            self._in_validation = part == "validation"
            try:
                result = original(*args, **options)
            finally:
                self._in_validation = False
                spent = time.perf_counter() - begun
                self.seconds[part] += spent
            if part == "validation":
                self._note(args[0].runner.iter, result)
            return result

        setattr(owner, method, measure)

    def _note(self, iteration: int, scores: dict[str, float]) -> None:
        after = time.time() - self.launched
        self.validations.append(
            {"iteration": iteration, "seconds": after, "mIoU": float(scores["mIoU"]) * self.unit}
        )

    def parts(self) -> dict[str, float]:
        """Return the seconds of each part up to the last validation."""
        total = self.validations[-1]["seconds"]
        found = {
            "start-up": self.start_up,
            "data wait": self.seconds["data wait"],
            "forward, backward": self.seconds["step"] - self.seconds["optimizer"],
            "optimizer": self.seconds["optimizer"],
            "validation": self.seconds["validation"],
        }
        return {**found, "other": total - sum(found.values())}


def time_parts(clock: Clock, validation: type) -> None:
    """Time the parts of mmengine's training loop, which both sides use."""
    from mmengine.model import BaseModel
    from torch.optim import SGD, AdamW
    from torch.utils.data.dataloader import _BaseDataLoaderIter

    clock.time(_BaseDataLoaderIter, "__next__", "data wait")
    clock.time(BaseModel, "train_step", "step")
    for optimizer in (SGD, AdamW):
        clock.time(optimizer, "step", "optimizer")
    clock.time(validation, "run", "validation")


def train_public(run: str, clock: Clock) -> None:
    """Train by mmengine's Runner with mmseg's transforms, loaders, metric and the public head."""
    import torch
    from mmengine.runner import ValLoop
    from public_training import public_runner, public_settings

    begun = time.time()
    settings = public_settings(run)
    clock.launched += time.time() - begun  # no part of the public way
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))))
    time_parts(clock, ValLoop)
    public_runner(settings).train()


def train_ours(run: str, clock: Clock) -> None:
    """Train by `isnet train`."""
    from isnet.cli import main
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    from isnet.training.hooks.checkpoint_hook import StoppableValLoop

    time_parts(clock, StoppableValLoop)
    if status := main(["train", "--run", run]):
        sys.exit(status)


def main() -> None:
    """Train, and write what was found."""
    side, run, launched, file = sys.argv[1:]
    clock = Clock(float(launched), unit=0.01 if side == "public" else 1.0)  # IoUMetric: percent
    {"public": train_public, "ours": train_ours}[side](run, clock)
    found = {"validations": clock.validations, "parts": clock.parts()}
    Path(file).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

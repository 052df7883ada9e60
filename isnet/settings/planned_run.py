"""A run of params.yaml: its resolved config, its batch, and the settings that it is shown with."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from isnet.images.pixel_format import PixelFormat
from isnet.settings.experiment import Experiment
from isnet.settings.params import Devices, Run, Speed, flatten
from isnet.settings.start_weights import (
    StartWeights,
    pretrained_hashes,
    start_settings,
    start_weights,
)

_OF_TRAINING = ("seed", *Speed._fields, "iterations", "global_batch", "crop")
"""Settings that a run without a training does not have."""


@dataclass(frozen=True)
class PlannedRun:
    """A run of params.yaml with its resolved config."""

    name: str
    run: Run
    experiment: Experiment
    start: StartWeights | None = None
    """Weights that the training starts from, or that are scored without one."""
    pretrained: dict[str, str] = field(default_factory=dict)
    """SHA-256 of local files that the backbone is initialised from, by their names in the config;
    empty with `start`, which replaces them.
    """

    @classmethod
    def of(cls, name: str, run: Run, experiment: Experiment) -> PlannedRun:
        """Return a run with the hashes of the files that it starts from.

        Raises UserError if a file is missing.
        """
        where = f"params.yaml: runs.{name}"
        start = start_weights(run, experiment, where)
        pretrained = {} if start else pretrained_hashes(experiment, where)
        return cls(name, run, experiment, start, pretrained)

    def with_statistics(self, record: dict[str, Any]) -> PlannedRun:
        """Return the run with the means and deviations of the `bands` that a record states."""
        bands = PixelFormat.of(record).bands
        return replace(self, experiment=self.experiment.with_statistics(bands))

    @property
    def is_scored_only(self) -> bool:
        """Whether the run scores given weights and trains none."""
        return self.run.weights is not None

    @property
    def batch(self) -> Batch:
        """The division of the global batch among the run's devices."""
        experiment = self.experiment
        return divide_batch(experiment.global_batch, experiment.per_device_batch, self.run.devices)

    @property
    def best(self) -> dict[str, str]:
        """The setting `best`, where it is not the default: it is no part of older keys."""
        return {} if self.run.best == "mIoU" else {"best": self.run.best}

    @property
    def settings(self) -> dict[str, Any]:
        """The run's settings as a flat mapping, which the report and MLflow show."""
        experiment = self.experiment
        settings = {
            "dataset": self.run.dataset,
            "config": self.run.config,
            "seed": self.run.seed,
            "devices": str(self.run.devices),
            **self.run.speed._asdict(),
            **({"ema": self.run.ema} if self.run.ema else {}),
            **self.best,
            **start_settings(self.start),
            "method": experiment.method,
            "backbone": experiment.backbone,
            "iterations": experiment.iterations,
            "global_batch": experiment.global_batch,
            **({"crop": "x".join(map(str, experiment.crop))} if experiment.crop else {}),
            **{f"overrides.{key}": value for key, value in flatten(self.run.overrides).items()},
        }
        left_out = _OF_TRAINING if self.is_scored_only else ()
        return {key: value for key, value in settings.items() if key not in left_out}


@dataclass(frozen=True)
class Batch:
    """Division of a global batch into `processes` x `per_process` x `accumulation` images."""

    processes: int
    per_process: int
    accumulation: int

    @property
    def share(self) -> int:
        """Images of a process in an optimizer step."""
        return self.per_process * self.accumulation

    @property
    def sizes(self) -> list[int]:
        """Images per forward pass that leave the global batch as it is, from `per_process` down."""
        return [size for size in range(self.per_process, 0, -1) if self.share % size == 0]


def divide_batch(global_batch: int, per_device: int, devices: Devices) -> Batch:
    """Divide a global batch among the processes of a run, with gradient accumulation if needed.

    `global_batch` is the number of images per optimizer step, `per_device` the most images in one
    forward pass of a process. With accumulation, BatchNorm statistics are those of one micro-batch
    (over all processes under SyncBN), not of the global batch. Raises ValueError if the number of
    processes does not divide the global batch.
    """
    processes = devices.processes
    if global_batch % processes:
        fitting = [n for n in range(1, global_batch + 1) if global_batch % n == 0]
        raise ValueError(
            f"the global batch {global_batch} does not divide among {processes} processes; "
            f"use one of {', '.join(map(str, fitting))}"
        )
    share = global_batch // processes
    micro = max(size for size in range(1, min(per_device, share) + 1) if share % size == 0)
    return Batch(processes, micro, share // micro)

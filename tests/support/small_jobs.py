"""Training jobs without a checkout, for parts of a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isnet.settings.experiment import Experiment
from isnet.settings.layout import Layout
from isnet.settings.params import Run
from isnet.settings.planned_run import PlannedRun
from isnet.training.train_job import TrainJob

__all__ = ["small_job"]


def small_job(
    global_batch: int, per_device: int, *, config: dict[str, Any] | None = None, **settings: Any
) -> TrainJob:
    """Return a job of 100 iterations; `settings` are those of a run in params.yaml."""
    run = Run.model_validate({"dataset": "streets", "config": "config.py", **settings})
    experiment = Experiment(
        config=config or {},
        iterations=100,
        global_batch=global_batch,
        per_device_batch=per_device,
        num_classes=19,
        loader_workers=0,
        crop=None,
        method="ISNet",
        backbone="R-50",
        folder=Path(),
        modules={},
    )
    layout = Layout(data=Path("data"), home=Path())
    return TrainJob(PlannedRun("one", run, experiment), layout, "key", "digest", None)

"""The estimated memory of a training step against the measured one, on a CPU.

`isnet/training/memory_estimate.py` counts fake tensors. Here the same step runs on real ones, twice
in a process of its own. *held* are weights, buffers and momenta, which live between two steps; both
sides know their bytes. To them *estimate* adds the counted tensors of a step, and *measured* what
the second step adds to the resident memory (the kernel's high-water mark, VmHWM, less VmRSS before
it), which includes what kernels use only while they run.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch
from measure import peak_on_cpu
from mmseg.registry import MODELS
from rich.console import Console
from rich.table import Table

from isnet.inference.model_config import model_config
from isnet.mmseg_import import import_mmseg
from isnet.settings.experiment import resolve
from isnet.settings.params import Run
from isnet.settings.planned_run import PlannedRun
from isnet.tracking.environment import git_commit, hardware
from isnet.training.memory_estimate import StepMemory, estimate_step_memory, training_step

NETWORKS = {
    "R-50": "isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py",
    "R-101": "isnet/configs/isnet_res101_8xb2-81840_cityscapes-512x1024.py",
    "ResNeSt-101": "isnet/configs/isnet_resnest101_8xb2-81840_cityscapes-512x1024.py",
}
SIZES = ((128, 256), (256, 512), (384, 768))
CROPS = 2


def planned_run(network: str, size: tuple[int, int]) -> PlannedRun:
    """Return a run of two crops on the CPU."""
    overrides = {
        "auto_scale_lr": {"base_batch_size": CROPS},
        "train_dataloader": {"batch_size": CROPS},
    }
    settings = {"dataset": "cityscapes", "config": NETWORKS[network]}
    run = Run.model_validate({**settings, "overrides": overrides})
    experiment = resolve("one", run)
    for step in experiment.config["train_dataloader"]["dataset"]["pipeline"]:
        if "crop_size" in step:
            step["crop_size"] = size
    experiment.config["model"]["data_preprocessor"]["size"] = size
    return PlannedRun("one", run, replace(experiment, crop=size))


def measure_peaks(runs: list[PlannedRun]) -> list[float]:
    """Return the GiB that a step on real tensors adds, for runs of one network."""
    import_mmseg()
    config = runs[0].experiment.config
    model = MODELS.build(model_config(config, pretrained=False, sync_norm="BN")).train()
    model.to(memory_format=torch.channels_last)
    found = []
    for planned in runs:
        model.zero_grad()
        step = training_step(planned, model)
        step()  # code is loaded
        found.append(peak_on_cpu(step))
    return found


def main() -> None:
    """Measure the networks that are named, or all."""
    # Large blocks of the C library's heap are pages of their own: no gaps between blocks count.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"
    table = Table(title=f"Peak memory of a training step of ISNet with {CROPS} crops, GiB")
    for column in ("network", "crops", "held", "estimate", "measured", "estimate / measured"):
        table.add_column(column)
    for network in sys.argv[1:] or NETWORKS:
        runs = [planned_run(network, size) for size in SIZES]
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            estimates = list(pool.map(estimate_step_memory, runs))
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            added = pool.submit(measure_peaks, runs).result()
        for size, estimate, more in zip(SIZES, estimates, added, strict=True):
            assert isinstance(estimate, StepMemory), estimate
            held, peak = estimate.held / 2**30, estimate.peak / 2**30
            numbers = (held, peak, held + more, peak / (held + more))
            table.add_row(network, "{}x{}".format(*size), *(f"{number:.3f}" for number in numbers))
    console = Console()
    console.print(table)
    commit, dirty = git_commit()
    console.print(f"{hardware()}; torch {torch.__version__}; {commit}{' + changes' * dirty}")


if __name__ == "__main__":
    main()

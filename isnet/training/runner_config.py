"""From an experiment to the config that mmengine's Runner gets: data source, batch, schedule,
hooks.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from isnet.data.loading.dataset_config import manifest_dataset
from isnet.inference.model_config import model_config
from isnet.settings.experiment import Batch
from isnet.settings.params import Speed
from isnet.training.precision import optimizer_wrapper

__all__ = ["runner_config"]

_SCHEDULE_LENGTHS = ("begin", "end", "total_iters", "T_max")


def runner_config(
    config: dict[str, Any],
    *,
    manifest: Path,
    data: Path,
    store: str | None,
    work: Path,
    seed: int,
    batch: Batch,
    speed: Speed,
    workers: int,
    on_cpu: bool,
    resuming: bool,
    hooks: list[Any],
) -> dict[str, Any]:
    """Return the keyword arguments for `mmengine.runner.Runner`.

    mmengine counts micro-iterations: with accumulation, lengths, intervals and the schedule are
    stretched by it.
    """
    config = copy.deepcopy(config)
    train, val = config["train_dataloader"], config["val_dataloader"]
    _feed(train, manifest_dataset(train["dataset"], manifest, data, "train", store=store), workers)
    # The test pipeline reads whole images, of which files are the smaller form.
    dataset = manifest_dataset(val["dataset"], manifest, data, "val", store=None, test_mode=True)
    _feed(val, dataset, workers)
    # Copies to the device overlap with its work from pinned memory alone.
    train["pin_memory"] = not on_cpu
    train["batch_size"] = batch.per_process
    train["sampler"] = {"type": "SeededInfiniteSampler", "shuffle": True}
    sync_norm = "SyncBN"
    if on_cpu:
        sync_norm = "CpuSyncBN" if batch.processes > 1 else "BN"
    settings = {
        "model": model_config(config, pretrained=not resuming, sync_norm=sync_norm),
        "work_dir": str(work),
        "train_dataloader": train,
        "val_dataloader": val,
        "train_cfg": _stretched_loop(config["train_cfg"], batch.accumulation),
        "val_cfg": {"type": "StoppableValLoop"},
        "val_evaluator": {"type": "ConfusionMetric"},
        "optim_wrapper": {
            **optimizer_wrapper(config["optim_wrapper"], speed.precision),
            "accumulative_counts": batch.accumulation,
        },
        "param_scheduler": _stretched_schedule(config.get("param_scheduler"), batch.accumulation),
        "default_hooks": {"timer": None, "logger": None, "checkpoint": None},
        "custom_hooks": hooks,
        "randomness": {"seed": seed},
        "env_cfg": {
            # It times kernels, and may choose another one in the next process.
            "cudnn_benchmark": not on_cpu and not speed.deterministic,
            "mp_cfg": {"opencv_num_threads": 0},
        },
        "default_scope": "mmseg",
        "log_level": "ERROR",
        "visualizer": {"type": "Visualizer", "vis_backends": None},
        "experiment_name": work.name,
    }
    if batch.processes > 1:
        settings["launcher"] = "pytorch"
        settings |= _distributed(on_cpu)
    return settings


def _distributed(on_cpu: bool) -> dict[str, Any]:
    # mmengine's default wrapper names a device, which CPU modules refuse.
    wrapper = {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
    return {"cfg": {"model_wrapper_cfg": wrapper | ({"device_ids": None} if on_cpu else {})}}


def _feed(loader: dict[str, Any], dataset: dict[str, Any], workers: int) -> None:
    loader["dataset"] = dataset
    loader["num_workers"] = min(loader.get("num_workers", 0), workers)
    loader["persistent_workers"] = loader["num_workers"] > 0
    loader["worker_init_fn"] = {"type": "ignore_signals"}
    if not loader["num_workers"]:
        loader.pop("prefetch_factor", None)


def _stretched_loop(loop: dict[str, Any], accumulation: int) -> dict[str, Any]:
    stretched = dict(loop)
    for key in ("max_iters", "val_interval", "val_begin"):
        if key in stretched:
            stretched[key] = int(stretched[key]) * accumulation
    return stretched


def _stretched_schedule(schedule: Any, accumulation: int) -> list[dict[str, Any]]:
    schedules = [schedule] if isinstance(schedule, dict) else list(schedule or [])
    return [
        {
            key: value * accumulation if key in _SCHEDULE_LENGTHS and value is not None else value
            for key, value in one.items()
        }
        for one in schedules
    ]

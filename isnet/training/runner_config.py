"""Builds the settings of mmengine's Runner for a training job."""

import copy
from typing import Any

from mmengine.utils import ManagerMixin
from mmengine.visualization import Visualizer

from isnet.data.loading.dataset_config import manifest_dataset
from isnet.inference.model_config import model_config
from isnet.training.loader_workers import ignore_signals, share_temporary_folder
from isnet.training.optim_wrappers import optimizer_wrapper
from isnet.training.train_job import TrainJob

SCHEDULE_LENGTHS = ("begin", "end", "total_iters", "T_max")
"""Settings of mmengine's parameter schedulers that are numbers of iterations."""


def runner_config(
    job: TrainJob, *, max_workers: int, resuming: bool, hooks: list[Any]
) -> dict[str, Any]:
    """Return the keyword arguments of `mmengine.runner.Runner` for a training job.

    mmengine counts micro-iterations. Therefore the numbers of iterations in the config are
    multiplied by the number of accumulated micro-batches.

    Args:
        job: the training.
        max_workers: maximum number of loader workers per loader in this process.
        resuming: whether the weights come from a checkpoint instead of a pretrained file.
        hooks: all hooks of the training.
    """
    config = copy.deepcopy(job.planned.experiment.config)
    run, batch = job.planned.run, job.planned.batch
    on_cpu, on_cuda = run.devices.kind == "cpu", run.devices.kind == "gpu"
    data = (job.manifest, job.layout.data)
    train, val = config["train_dataloader"], config["val_dataloader"]
    train["dataset"] = manifest_dataset(train["dataset"], *data, "train", store=job.store)
    # The test pipeline reads whole images, which take less room as files.
    val["dataset"] = manifest_dataset(val["dataset"], *data, "val", store=None, test_mode=True)
    for loader in (train, val):
        _set_workers(loader, max_workers)
    # Copies to the device overlap with its work only from pinned memory.
    train["pin_memory"] = on_cuda
    train["batch_size"] = batch.per_process
    train["sampler"] = {"type": "SeededInfiniteSampler", "shuffle": True}
    sync_norm = "SyncBN"  # which needs CUDA
    if not on_cuda:
        sync_norm = "CpuSyncBN" if batch.processes > 1 else "BN"
    schedules = config.get("param_scheduler") or []
    settings = {
        "model": model_config(
            config, pretrained=not resuming and job.planned.start is None, sync_norm=sync_norm
        ),
        "work_dir": str(job.work / "runner"),
        "train_dataloader": train,
        "val_dataloader": val,
        "train_cfg": _scale(
            config["train_cfg"], ("max_iters", "val_interval", "val_begin"), batch.accumulation
        ),
        "val_cfg": {"type": "StoppableValLoop"},
        "val_evaluator": {"type": "ConfusionMetric"},
        "optim_wrapper": {
            **optimizer_wrapper(config["optim_wrapper"], run.speed.precision),
            "accumulative_counts": batch.accumulation,
        },
        "param_scheduler": [
            _scale(schedule, SCHEDULE_LENGTHS, batch.accumulation)
            for schedule in ([schedules] if isinstance(schedules, dict) else schedules)
        ],
        "default_hooks": {"timer": None, "logger": None, "checkpoint": None},
        "custom_hooks": hooks,
        "randomness": {"seed": run.seed},
        "env_cfg": {
            # cuDNN's benchmark chooses kernels by time: the next process may use others.
            "cudnn_benchmark": on_cuda and not run.speed.deterministic,
            "mp_cfg": {"opencv_num_threads": 0},
        },
        "default_scope": "mmseg",
        "log_level": "ERROR",
        "visualizer": {"type": _NoVisualizer},
        "experiment_name": "runner",
    }
    if batch.processes > 1:
        wrapper: dict[str, Any] = {"type": "MMDistributedDataParallel", "broadcast_buffers": False}
        wrapper["find_unused_parameters"] = config.get("find_unused_parameters", False)
        if on_cpu:
            wrapper["device_ids"] = None  # DDP refuses device ids for CPU modules
        settings |= {"launcher": "pytorch", "cfg": {"model_wrapper_cfg": wrapper}}
    return settings


def _set_workers(loader: dict[str, Any], max_workers: int) -> None:
    workers = min(loader.get("num_workers", 0), max_workers)
    loader.update(num_workers=workers, persistent_workers=workers > 0)
    loader["worker_init_fn"] = {"type": ignore_signals}
    if workers:
        share_temporary_folder()
    else:
        loader.pop("prefetch_factor", None)


def _scale(settings: dict[str, Any], lengths: tuple[str, ...], factor: int) -> dict[str, Any]:
    """Return a copy of `settings` with the values of the keys `lengths` multiplied by `factor`."""
    return {
        key: int(value) * factor if key in lengths and value is not None else value
        for key, value in settings.items()
    }


class _NoVisualizer(Visualizer):
    """Visualizer that shows nothing: mmengine's own imports matplotlib and makes a figure."""

    def __init__(self, name: str, **_: object) -> None:
        ManagerMixin.__init__(self, name)
        self._vis_backends: dict[str, Any] = {}

"""One training in this process: assemble, resume, run, and hand over the weights."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.runner import Runner

from isnet.checkpoints.checkpoint_folder import CheckpointFolder
from isnet.distributed.rendezvous import join_process_group
from isnet.distributed.stop_signals import StopRequest
from isnet.errors import UserError
from isnet.io.console import show_progress
from isnet.models.float32 import allow_tf32
from isnet.settings.experiment import Batch, Experiment
from isnet.settings.params import Devices, Speed
from isnet.tracking.journal import Journal
from isnet.training.compilation import compile_parts
from isnet.training.data_loading_advice import DataLoadingAdvice
from isnet.training.determinism import require_deterministic
from isnet.training.hooks.checkpoint_hook import CheckpointHook, DeferSignalsHook, IterationSeedHook
from isnet.training.hooks.journal_hook import JournalHook
from isnet.training.hooks.nonfinite_hook import NonFiniteHook
from isnet.training.hooks.weight_average import WeightAverage
from isnet.training.loader_workers import ShutdownWorkersHook
from isnet.training.memory_errors import explain_out_of_memory
from isnet.training.runner_config import runner_config

__all__ = ["TrainResult", "train"]

_log = logging.getLogger(__name__)

_RECORDS = 50
"""A training writes about this many loss records at least, however short it is."""


@dataclass(frozen=True)
class TrainResult:
    """How a training ended."""

    finished: bool
    iteration: int
    weights: dict[str, torch.Tensor]
    best: dict[str, Any]
    seconds: float
    resolved_config: str


def train(
    experiment: Experiment,
    *,
    devices: Devices,
    batch: Batch,
    speed: Speed,
    ema: float | None,
    seed: int,
    manifest: Path,
    data: Path,
    store: str | None,
    remark: str,
    work: Path,
    stop_request: StopRequest,
) -> TrainResult:
    """Train, going on from the newest checkpoint in `work` if there is one.

    Args:
        experiment: the resolved config.
        devices: where this run trains; with several processes this is one of them.
        batch: how the global batch is spread.
        speed: number format, memory layout, compilation.
        ema: decay of the average of the weights that is kept in their place, if any.
        seed: of weights, order, augmentation and dropout.
        manifest: the converted data set.
        data: the data root.
        store: folder of the packed images under it, if there are any.
        remark: on where images are read, said after the first line.
        work: private folder: checkpoints and journal.
        stop_request: whether a stopping signal has arrived.
    """
    threads = _use_devices(devices, batch.processes)
    allow_tf32(speed.precision == "tf32")
    require_deterministic(speed.deterministic)
    folder = CheckpointFolder(work / "checkpoints", work.name)
    state = folder.newest()
    most_workers = _most_workers(devices, threads)
    accumulation = batch.accumulation
    done = state["iteration"] if state else 0
    _log.info(_first_words(experiment, done, batch, devices, speed))
    if remark:
        _log.info(remark)
    if state and (state["processes"], state["accumulation"]) != (batch.processes, accumulation):
        _log.info(_other_devices(state, batch))
    journal = Journal(work / "journal.jsonl")
    if get_rank() == 0:
        journal.rewind(done)
    with show_progress("iterations", start=done) as show:
        journal_hook = JournalHook(
            journal,
            accumulation=accumulation,
            interval=_record_interval(experiment),
            images_per_step=experiment.global_batch,
            advice=DataLoadingAdvice(
                min(experiment.loader_workers, most_workers), most_workers, store is not None
            ),
            show=show if get_rank() == 0 else (lambda done, total, note: None),
        )
        finite_hook = NonFiniteHook(
            accumulation=accumulation, precision=speed.precision, last_checkpoint=folder.last
        )
        average = WeightAverage(ema, accumulation=accumulation) if ema else None
        resume_hook = CheckpointHook(
            folder,
            state,
            interval=_checkpoint_interval(experiment) * accumulation,
            stop_request=stop_request,
            journal=journal_hook,
            finite=finite_hook,
            average=average,
            best=work / "best.pth",
        )
        settings = runner_config(
            experiment.config,
            manifest=manifest,
            data=data,
            store=store,
            work=work / "runner",
            seed=seed,
            batch=batch,
            speed=speed,
            workers=most_workers,
            on_cpu=devices.kind == "cpu",
            resuming=state is not None,
            hooks=[
                IterationSeedHook(seed),
                DeferSignalsHook(stop_request),
                journal_hook,
                finite_hook,
                *filter(None, [average]),
                resume_hook,
                ShutdownWorkersHook(),
            ],
        )
        with explain_out_of_memory(
            batch, speed, devices, iteration=lambda: journal_hook.done or done
        ):
            runner = _Runner(speed, **settings)
            runner.train()
    iteration = runner.iter // accumulation
    return TrainResult(
        finished=iteration == experiment.iterations and not resume_hook.validation_due,
        iteration=iteration,
        weights={name: value.cpu() for name, value in resume_hook.kept_weights(runner).items()},
        best=resume_hook.best,
        seconds=resume_hook.seconds,
        resolved_config=Config(experiment.config).pretty_text,
    )


class _Runner(Runner):
    """mmengine's Runner with the speed settings of a run, and without its 300 lines of greeting;
    the environment and config are recorded elsewhere.
    """

    def __init__(self, speed: Speed, **settings: Any) -> None:
        self.speed = speed
        super().__init__(**settings)

    def build_model(self, model: dict[str, Any]) -> Any:
        """Build and initialise on the CPU, then lay out and compile.

        Before the model moves, because random numbers are drawn in the device's way and in the
        order of the memory: any devices and layout begin with the same weights. Before
        DistributedDataParallel wraps it, because that keeps to the layout it finds.
        """
        built = super().build_model(model)
        built.init_weights()
        if self.speed.channels_last:
            built.to(memory_format=torch.channels_last)
        if self.speed.compile:
            compile_parts(built)
        return built

    def _init_model_weights(self) -> None:
        """Done in `build_model`."""

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        pass

    def dump_config(self) -> None:
        pass


def _use_devices(devices: Devices, processes: int) -> int:
    """Make torch use what the run asks for; return the number of CPU threads of this process.

    Raises:
        UserError: the GPUs are not there.
    """
    cores = len(os.sched_getaffinity(0))
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, cores // processes))
    torch.set_num_threads(threads)
    if devices.kind == "cpu":
        # Also keeps mmengine from choosing a GPU that this run does not own.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif torch.cuda.device_count() < devices.per_node:
        raise UserError(
            f"devices: {devices} asks for {devices.per_node} GPUs, "
            f"there are {torch.cuda.device_count()}",
            where="params.yaml: runs",
            hint="Write devices: cpu, or run it where the GPUs are",
        )
    if processes > 1:
        join_process_group(devices)
    return threads


def _most_workers(devices: Devices, threads: int) -> int:
    """Return for how many loader workers a process has cores. On a CPU the network needs all
    threads it was given: one more worker would slow both.
    """
    if devices.kind == "cpu":
        return threads - 1
    return max(1, len(os.sched_getaffinity(0)) // devices.per_node)


def _first_words(
    experiment: Experiment, done: int, batch: Batch, devices: Devices, speed: Speed
) -> str:
    verb = f"resumes at iteration {done}" if done else "starts"
    spread = f"{batch.processes} x {batch.per_process} images"
    if batch.accumulation > 1:
        spread += f" x {batch.accumulation} accumulated"
    return (
        f"{verb}: {experiment.method} {experiment.backbone}, {experiment.iterations} iterations, "
        f"global batch {experiment.global_batch} ({spread}) on {devices}"
        f" in {speed.precision}{', compiled' if speed.compile else ''}"
        f"{', deterministic' if speed.deterministic else ''}"
    )


def _other_devices(state: dict[str, Any], batch: Batch) -> str:
    return (
        f"was interrupted on {state['processes']} processes with {state['accumulation']} "
        f"micro-batches a step, goes on on {batch.processes} with {batch.accumulation}: the same "
        "global batch, but not bit by bit the training that it would have been"
    )


def _hook_interval(experiment: Experiment, hook: str, default: int) -> int:
    hooks = experiment.config.get("default_hooks", {})
    return int((hooks.get(hook) or {}).get("interval", default))


def _record_interval(experiment: Experiment) -> int:
    wanted = _hook_interval(experiment, "logger", 50)
    return max(1, min(wanted, experiment.iterations // _RECORDS))


def _checkpoint_interval(experiment: Experiment) -> int:
    """At least ten checkpoints a training, and one every thousand iterations: a fault costs
    minutes.
    """
    wanted = _hook_interval(experiment, "checkpoint", 1000)
    return max(1, min(wanted, 1000, experiment.iterations // 10))

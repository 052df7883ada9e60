"""Runs a training in this process: builds mmengine's Runner, resumes from a checkpoint, trains."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import mmengine.device.utils
import torch
from mmengine.dist import get_rank
from mmengine.model import BaseModule
from mmengine.runner import Runner
from torch import nn

from isnet.checkpoints.checkpoint_folder import CheckpointFolder
from isnet.checkpoints.fitting_tensors import load_start
from isnet.checkpoints.pretrained import pretrained_files
from isnet.checkpoints.weights_formats import open_weights
from isnet.deferred_imports import defer_dynamo
from isnet.distributed.rendezvous import join_process_group
from isnet.distributed.stop_signals import StopRequest
from isnet.errors import UserError
from isnet.images.pixel_format import COLOURS
from isnet.io.atomic_files import sha256_of
from isnet.io.console import show_progress
from isnet.io.loader_errors import errors_of_workers
from isnet.machine.host_resources import usable_cores
from isnet.models.float32 import allow_tf32
from isnet.records.run_records import StartRecord
from isnet.settings.config_file import config_source
from isnet.settings.params import Devices
from isnet.tracking.journal import Journal
from isnet.training.batch_norm_error import explain_single_values
from isnet.training.data_loading_advice import DataLoadingAdvice
from isnet.training.hooks.checkpoint_hook import CheckpointHook
from isnet.training.hooks.custom_hooks import CustomHooks
from isnet.training.hooks.journal_hook import JournalHook
from isnet.training.hooks.nonfinite_hook import NonFiniteHook
from isnet.training.hooks.process_hook import ProcessHook
from isnet.training.hooks.weight_average import WeightAverage
from isnet.training.out_of_memory import explain_out_of_memory
from isnet.training.runner_config import runner_config
from isnet.training.speed_settings import compile_parts, require_deterministic, set_layout
from isnet.training.train_job import TrainJob
from isnet.training.trial_build import errors_at

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """Result of a training that is finished or was stopped."""

    finished: bool
    """Whether the training is finished; if not, the same command resumes it."""
    iteration: int
    weights: dict[str, torch.Tensor]
    best: dict[str, Any]
    """`iteration` of the best validation, and its score; empty before the first."""
    seconds: float
    """Training time, including the time before each resume."""
    resolved_config: str


def train(job: TrainJob, stop_request: StopRequest) -> TrainResult:
    """Train a model, or resume from the newest checkpoint, in each process of a training."""
    run, experiment, batch = job.planned.run, job.planned.experiment, job.planned.batch
    threads = _use_devices(run.devices, batch.processes)
    allow_tf32(run.speed.precision == "tf32")
    require_deterministic(run.speed.deterministic)
    if not run.speed.compile:
        defer_dynamo()
    checkpoints = CheckpointFolder(job.work / "checkpoints", job.key)
    state = checkpoints.newest()
    done = state["iteration"] if state else 0
    _log_start(job, state)
    journal = Journal(job.work / "journal.jsonl")
    if get_rank() == 0:
        journal.rewind(done)
    max_workers = max(1, usable_cores() // run.devices.per_node)
    if run.devices.kind == "cpu":
        max_workers = threads - 1  # the network uses the same cores: more would slow both
    workers = min(experiment.loader_workers, max_workers)
    advice = DataLoadingAdvice(workers, max_workers, packed=job.store is not None)
    with show_progress("iterations", start=done) as show:
        journal_hook = JournalHook(job, journal, advice, show if get_rank() == 0 else None)
        nonfinite_hook = NonFiniteHook(batch.accumulation, run.speed.precision, checkpoints.last)
        stateful: dict[str, Any] = {"journal": journal_hook, "nonfinite": nonfinite_hook}
        if run.ema:
            stateful["average"] = WeightAverage(run.ema, accumulation=batch.accumulation)
        custom = CustomHooks(experiment.config.get("custom_hooks") or [])
        if custom.hooks:
            stateful["custom_hooks"] = custom
        checkpoint_hook = CheckpointHook(job, checkpoints, state, stop_request, stateful)
        process_hook = ProcessHook(run.seed, stop_request)
        hooks = [process_hook, *custom.hooks, *stateful.values(), checkpoint_hook]
        resuming, where = state is not None, f"params.yaml: runs.{job.planned.name}"
        with explain_out_of_memory(job, iteration=lambda: journal_hook.done or done):
            settings = runner_config(job, max_workers=max_workers, resuming=resuming, hooks=hooks)
            # KeyError: a type that is not registered. TypeError: an argument that does not exist.
            with errors_at(where, (KeyError, TypeError)):
                runner = _Runner(job, resuming, **settings)
            with explain_single_values(runner.model, where), errors_of_workers():
                runner.train()
    iteration = runner.iter // batch.accumulation
    return TrainResult(
        finished=(iteration == experiment.iterations or checkpoint_hook.ended)
        and not checkpoint_hook.validation_due,
        iteration=iteration,
        weights={k: value.cpu() for k, value in checkpoint_hook.kept_weights(runner).items()},
        best=checkpoint_hook.best,
        seconds=checkpoint_hook.seconds,
        resolved_config=config_source(experiment.config),
    )


class _Runner(Runner):
    """mmengine's Runner with the speed settings of a run; environment and config are not logged."""

    def __init__(self, job: TrainJob, resuming: bool, **settings: Any) -> None:
        self.job, self.resuming = job, resuming
        super().__init__(**settings)

    def build_model(self, model: dict[str, Any]) -> Any:
        """Build and initialise the model on the CPU, then set its memory layout and compile it."""
        # Initialised here, because random numbers depend on device and memory layout. The layout is
        # set before DistributedDataParallel wraps the model, because the wrapper keeps it.
        run = self.job.planned.run
        built = super().build_model(model)
        built.init_weights()
        if not self.resuming:
            _load_start_weights(built, self.job)
        set_layout(built, channels_last=run.speed.channels_last, on_gpu=run.devices.gpus > 0)
        if run.speed.compile:
            compile_parts(built)
        return built

    def _init_model_weights(self) -> None:
        """Do nothing, because `build_model` has initialised the weights."""

    def _log_env(self, env_cfg: dict[str, Any]) -> None:
        pass

    def dump_config(self) -> None:
        pass


def _load_start_weights(model: nn.Module, job: TrainJob) -> None:
    """Load what fits of `init_from`, or of the backbone's pretrained file, into a new segmentor."""
    start, file = job.planned.start, job.start_file
    if start is None or file is None:
        _load_pretrained(model, job)
        return
    fit = load_start(model, open_weights(file))
    sha256 = sha256_of(file)
    if start.sha256 not in (None, sha256):
        raise UserError("has changed meanwhile", where=str(file), hint="Start the command again")
    _log.info(f"starts from {start.origin}: {fit.describe()}")
    if get_rank() == 0:
        record = StartRecord(origin=start.origin, sha256=sha256, tensors=len(fit.tensors))
        record.write(job.start_record)


def _load_pretrained(model: nn.Module, job: TrainJob) -> None:
    """Load the backbone's pretrained file again, because mmengine skips names that do not fit."""
    if getattr(type(model.backbone), "init_weights", None) is not BaseModule.init_weights:
        _refuse_bands(model, job)
        return  # it converts names by itself (Swin)
    for file in pretrained_files(job.planned.experiment.config["model"]):
        fit = load_start(model, open_weights(file.path), only_backbone=True)
        _log.info(f"{file.path.name}: {fit.describe()}")


def _refuse_bands(model: nn.Module, job: TrainJob) -> None:
    """Raise UserError for pretrained weights that a backbone itself loads, but not into bands."""
    config = job.planned.experiment.config["model"]
    channels = config["backbone"].get("in_channels", COLOURS)
    if channels != COLOURS and (files := pretrained_files(config)):
        kind = type(model.backbone).__name__
        raise UserError(
            f"{kind} does not extend pretrained weights from {COLOURS} to {channels} channels",
            where=files[0].reference,
            hint="Take the pretrained weights out of the config, or another backbone",
        )


def _use_devices(devices: Devices, processes: int) -> int:
    """Select the devices of a run, join its process group, and return the number of CPU threads."""
    cores = usable_cores()
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, cores // processes))
    torch.set_num_threads(threads)
    if devices.kind == "cpu":
        # mmengine would otherwise use a GPU that this run has no lease on.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        mmengine.device.utils.DEVICE = "cpu"  # "mps" on a Mac
    elif devices.kind == "mps":
        if not torch.backends.mps.is_available():
            raise UserError(
                "devices: mps asks for Apple's GPU, and torch finds none",
                where="params.yaml: runs",
                hint="Write devices: cpu",
            )
        mmengine.device.utils.DEVICE = "mps"
    elif (count := torch.cuda.device_count()) < devices.per_node:
        raise UserError(
            f"devices: {devices} asks for {devices.per_node} GPUs, there are {count}",
            where="params.yaml: runs",
            hint="Write devices: cpu, or run it where the GPUs are",
        )
    if processes > 1:
        join_process_group(devices)
    return threads


def _log_start(job: TrainJob, state: dict[str, Any] | None) -> None:
    experiment, batch, speed = job.planned.experiment, job.planned.batch, job.planned.run.speed
    spread = f"{batch.processes} x {batch.per_process} images"
    if batch.accumulation > 1:
        spread += f" x {batch.accumulation} accumulated"
    verb = f"resumes at iteration {state['iteration']}" if state else "starts"
    _log.info(
        f"{verb}: {experiment.method} {experiment.backbone}, {experiment.iterations} iterations, "
        f"global batch {experiment.global_batch} ({spread}) on {job.planned.run.devices} in "
        f"{speed.precision}{', compiled' * speed.compile}{', deterministic' * speed.deterministic}"
    )
    channels = experiment.config["model"]["backbone"].get("in_channels", COLOURS)
    if channels != COLOURS and "SamplePhotometricDistortion" in experiment.train_transforms:
        _log.info(f"{channels} channels: distortion changes brightness and contrast, not colours")
    if job.store_note:
        _log.info(job.store_note)
    now = _describe(batch.processes, batch.accumulation)
    before = _describe(state["processes"], state["accumulation"]) if state else now
    if before != now:
        _log.info(
            f"resumes on {now} (was {before}): the same global batch, but the weights will not be "
            "bit-equal to those of an uninterrupted training"
        )


def _describe(processes: int, accumulation: int) -> str:
    return (
        f"{processes} process{'es' * (processes > 1)}, "
        f"{accumulation} micro-batch{'es' * (accumulation > 1)} per step"
    )

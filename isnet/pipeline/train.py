"""The `train` stage: trains a run, or reuses its finished training; imports weights to score."""

from __future__ import annotations

import json
import logging
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from isnet.distributed.gpu_lease import gpu_lease
from isnet.distributed.launcher import launch
from isnet.distributed.node import current_node
from isnet.distributed.rank import is_rank
from isnet.distributed.run_lock import run_lock
from isnet.distributed.slurm_job import wait_for_requeue
from isnet.distributed.stop_signals import INTERRUPTED, StopRequest
from isnet.errors import UserError
from isnet.io.atomic_files import read_json
from isnet.machine.torch_build import require_tools
from isnet.pipeline.imported_weights import import_given_weights
from isnet.pipeline.mlflow_updates import LiveTracking
from isnet.pipeline.run_memory import require_gpu_memory
from isnet.pipeline.stage_files import (
    coverage,
    publish,
    read_manifest,
    require_labelled_pixels,
    usable_store,
)
from isnet.pipeline.start_files import (
    continuation_advice,
    convert_start_data,
    fetch_start_files,
    start_file,
    untrained_start,
)
from isnet.settings.local_modules import import_modules
from isnet.settings.plan import Plan
from isnet.tracking.journal import journal_records
from isnet.training.train_job import TrainJob

if TYPE_CHECKING:
    from isnet.training.trainer import TrainResult

_log = logging.getLogger(__name__)


def train(plan: Plan, run: str, arguments: list[str], stop_request: StopRequest) -> int:
    """Train a run, or reuse a finished training with the same settings and data.

    Returns the exit code. If the run scores given weights (`weights`), they are imported instead. A
    reused training that is not in MLflow is uploaded by later stages. `arguments` is the command
    line for the ranks, if there are several.
    """
    planned = plan.run(run)
    if not is_rank():
        convert_start_data(plan, run)
    manifest = read_manifest(plan, planned.run.dataset)
    digest = manifest["digest"]
    key = plan.train_key(run, digest)
    work = plan.layout.run_work(run, key)
    if is_rank() and not planned.is_scored_only:  # a rank of torchrun or srun
        return train_job(_resolve_job(plan, run, key, manifest), stop_request)
    node = current_node(planned.run.devices, run)
    is_first = node.index == 0
    finished = work / "train"
    if finished.is_dir():
        done = (
            "these weights are imported" if planned.is_scored_only else "this training is finished"
        )
        _log.info(f"has nothing to do: {done}")
        if is_first:
            publish(finished, plan.layout.train_results(run))
        return 0
    if not planned.is_scored_only:
        if part := coverage(plan, planned.run.dataset):
            _log.info(f"validation scores are over a part of the classes{part}")
        require_labelled_pixels(plan, planned.run.dataset)
    if first := untrained_start(plan, run, work):
        use = "score" if planned.is_scored_only else "start from"
        _log.info(f"trains {first} first, to {use} its weights")
        if status := _train_first(plan, first, stop_request):
            return status
    if planned.is_scored_only:
        with run_lock(run, work, node=node.index):
            import_given_weights(plan, run, manifest, work)
        publish(finished, plan.layout.train_results(run))
        return 0
    tracking = LiveTracking(plan, run, work, digest)
    with run_lock(run, work, node=node.index), gpu_lease(planned.run.devices.gpus):
        job = _resolve_job(plan, run, key, manifest)
        if not job.is_begun:
            require_gpu_memory(planned)
            fetch_start_files(job)
            if advice := continuation_advice(plan, run, work):
                _log.info(advice)
        if job.planned.run.speed.compile:
            require_tools(run)
        with tracking if is_first else nullcontext():
            if job.planned.batch.processes == 1:
                status = train_job(job, stop_request)
            else:
                with job.shared_with_ranks(work / f"train_job-{node.index}.pickle"):
                    status = launch(arguments, job.planned.run.devices, node, work, stop_request)
    if not finished.is_dir():
        if stop_request.signal_name:
            wait_for_requeue(stop_request.signal_name)
        return status
    if not is_first:  # node 0 publishes
        return 0
    stop_request.end_deferral()
    publish(finished, plan.layout.train_results(run))
    tracking.finish()
    return 0


def _resolve_job(plan: Plan, name: str, key: str, manifest: dict[str, Any]) -> TrainJob:
    planned = plan.run(name).with_statistics(manifest)
    store, note = usable_store(plan, planned.run.dataset, manifest)
    digest = manifest["digest"]
    return TrainJob(planned, plan.layout, key, digest, store, note, start_file(plan, name))


def _train_first(plan: Plan, run: str, stop_request: StopRequest) -> int:
    """Train the run whose weights another one needs, on one machine; return the exit code."""
    devices = plan.run(run).run.devices
    if devices.nodes > 1 or current_node(devices, run).index:
        raise UserError(f"{run} is not trained", hint=f"Run `isnet train --run {run}` first")
    return train(plan, run, ["train", "--run", run], stop_request)


def train_job(job: TrainJob, stop_request: StopRequest) -> int:
    """Run this process's part of a training and return the exit code. Rank 0 writes the outputs."""
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    import_modules(job.planned.experiment.imports, job.planned.experiment.folder)
    from mmengine.dist import get_rank

    from isnet.training.trainer import train as run_training

    started = time.time()
    result = run_training(job, stop_request)
    if get_rank() != 0:
        return 0
    if not result.finished:
        signal = stop_request.signal_name or "a signal to another rank"
        _log.info(
            f"stopped at iteration {result.iteration} by {signal}; the same command continues"
        )
        return INTERRUPTED
    _write_outputs(job, result, started)
    best, metric = result.best, job.planned.run.best
    score = f"; best validation {metric} {best[metric]:.2%} at {best['iteration']}" if best else ""
    _log.info(f"finished in {result.seconds:.0f} s{score}")
    return 0


def _write_outputs(job: TrainJob, result: TrainResult, started: float) -> None:
    from isnet.inference.model_config import deployed_model
    from isnet.pipeline.training_files import write_training

    experiment = job.planned.experiment
    origin: dict[str, Any] = {"seed": job.planned.run.seed, "iterations": result.iteration}
    if start := read_json(job.start_record):
        origin["init_from"] = start
    records = journal_records(job.work / "journal.jsonl", "train")
    rates = [record["images_per_second"] for record in records]
    write_training(
        job.planned,
        job.work,
        {**json.loads(job.manifest.read_text()), "digest": job.manifest_digest},
        result.weights,
        deployed_model(experiment.config),
        result.resolved_config,
        origin,
        global_batch=experiment.global_batch,
        crop=experiment.crop,
        best=result.best,
        seconds=round(result.seconds, 1),
        started=started,
        images_per_second=sum(rates) / len(rates) if rates else None,
        peak_memory_gb=max((record["memory_gb"] for record in records), default=None),
    )

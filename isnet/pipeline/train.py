"""The `train` stage: trains a run, or reuses its finished training; imports weights to score."""

from __future__ import annotations

import json
import logging
import shutil
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
from isnet.io.atomic_files import read_json, sha256_of, write_text
from isnet.io.cpp_toolchain import require_tools
from isnet.pipeline.earlier_training import continuation_advice
from isnet.pipeline.imported_weights import import_given_weights
from isnet.pipeline.mlflow_updates import LiveTracking
from isnet.pipeline.run_memory import require_gpu_memory
from isnet.pipeline.stage_files import (
    coverage,
    publish,
    read_manifest,
    replace_folder,
    require_labelled_pixels,
    usable_store,
    utc_text,
)
from isnet.pipeline.start_files import (
    convert_start_data,
    fetch_start_files,
    start_file,
    untrained_start,
)
from isnet.records.run_records import TrainRecord
from isnet.settings.local_modules import import_modules
from isnet.settings.plan import Plan
from isnet.tracking.environment import collect_environment
from isnet.tracking.journal import Journal, journal_records
from isnet.training.train_job import TrainJob

if TYPE_CHECKING:
    from isnet.training.trainer import TrainResult

_log = logging.getLogger(__name__)


def train(plan: Plan, run: str, arguments: list[str], stop_request: StopRequest) -> int:
    """Train a run, or reuse a finished training with the same settings and data.

    Of a run that scores given weights (`weights`), the weights are imported in place of a training.
    A reused training that is not in MLflow is uploaded by later stages.

    Args:
        plan: the plan of params.yaml.
        run: name of the run.
        arguments: command line for the ranks, if there are several.
        stop_request: records a signal that asks to stop.

    Returns:
        The exit code.
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
    planned = plan.run(name)
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
    """Write the outputs of a finished training to a temporary folder, which is then renamed."""
    from isnet.checkpoints.checkpoint_folder import save_torch
    from isnet.inference.model_config import deployed_model
    from isnet.pipeline.weights_description import describe_weights

    run, experiment = job.planned.run, job.planned.experiment
    provenance = {
        "run": job.planned.name,
        "dataset": run.dataset,
        "config": run.config,
        "config_digest": experiment.train_digest,
        "key": job.key,
        "manifest_digest": job.manifest_digest,
        "seed": run.seed,
        "iterations": result.iteration,
    }
    if start := read_json(job.start_record):
        provenance["init_from"] = start
    environment = collect_environment()
    finished = time.time()
    made = job.work / "train.part"
    shutil.rmtree(made, ignore_errors=True)
    meta = describe_weights(
        experiment,
        deployed_model(experiment.config),
        json.loads(job.manifest.read_text()),
        provenance,
        environment,
        result.resolved_config,
    )
    save_torch(made / "weights.pth", {"state_dict": result.weights, "meta": meta})
    write_text(made / "config.py", result.resolved_config)
    journal = Journal(job.work / "journal.jsonl")
    write_text(made / "curves.csv", journal.as_csv("train"))
    write_text(made / "validation.csv", journal.as_csv("validation"))
    records = journal_records(journal.path, "train")
    rates = [record["images_per_second"] for record in records]
    facts = {
        **provenance,
        "global_batch": experiment.global_batch,
        "crop": list(experiment.crop) if experiment.crop else None,
        "devices": str(run.devices),
        "best": result.best,
        "seconds": round(result.seconds, 1),
        "settings": job.planned.settings,
        "started": utc_text(started),
        "finished": utc_text(finished),
        "environment": environment,
        "images_per_second": sum(rates) / len(rates) if rates else None,
        "peak_memory_gb": max((record["memory_gb"] for record in records), default=None),
        "weights_sha256": sha256_of(made / "weights.pth"),
    }
    TrainRecord.model_validate(facts).write(made / "train.json")
    replace_folder(made, job.work / "train")

"""The `train` stage."""

from __future__ import annotations

import logging
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isnet.checkpoints.pretrained import fetch_pretrained, pretrained_files
from isnet.distributed.gpu_lease import gpu_lease
from isnet.distributed.launcher import launch
from isnet.distributed.node import current_node
from isnet.distributed.rank import is_rank
from isnet.distributed.run_lock import run_lock
from isnet.distributed.slurm_job import wait_for_requeue
from isnet.distributed.stop_signals import INTERRUPTED, StopRequest
from isnet.io.atomic_files import sha256_of, write_text
from isnet.io.console import show_progress
from isnet.io.cpp_toolchain import require_tools
from isnet.pipeline.mlflow_updates import LiveTracking
from isnet.pipeline.stage_files import publish, read_manifest, replace_folder, usable_store
from isnet.records.train_record import TrainRecord
from isnet.settings.plan import Plan, PlannedRun
from isnet.tracking.environment import collect_environment
from isnet.tracking.journal import Journal
from isnet.tracking.journal_reader import read_records

__all__ = ["INTERRUPTED", "train"]

_log = logging.getLogger(__name__)


def train(plan: Plan, name: str, arguments: list[str], stop_request: StopRequest) -> int:
    """Train a run, or adopt a training with the same settings on the same data; return the exit
    code. MLflow is told of an adopted one by the stages that follow, should it not have all of it.

    Args:
        plan: all of params.yaml.
        name: the run.
        arguments: the command line, for runs of several processes.
        stop_request: whether a stopping signal has arrived.
    """
    planned = plan.run(name)
    manifest = read_manifest(plan, planned.run.dataset)
    key = plan.train_key(name, manifest["digest"])
    work = plan.layout.run_work(name, key)
    if is_rank():
        return _train_here(plan, planned, key, manifest, work, stop_request)
    node = current_node(planned.run.devices, name)
    is_first = node.index == 0
    finished = work / "train"
    if finished.is_dir():
        _log.info("has nothing to do: this training is finished")
        if is_first:
            publish(finished, plan.layout.train_results(name))
        return 0
    tracking = LiveTracking(plan, name, work, manifest["digest"], enabled=is_first)
    with run_lock(name, work, node=node.index), gpu_lease(planned.run.devices.gpus):
        _bring_pretrained(planned, work)
        if planned.run.compile:
            require_tools(name)
        with tracking:
            if planned.batch.processes == 1:
                status = _train_here(plan, planned, key, manifest, work, stop_request)
            else:
                status = launch(arguments, planned.run.devices, node, work, stop_request)
    if not finished.is_dir():
        if stop_request.signal_name:
            wait_for_requeue(stop_request.signal_name)
        return status
    if not is_first:  # that one publishes for all
        return 0
    stop_request.end_deferral()
    publish(finished, plan.layout.train_results(name))
    tracking.finish()
    return 0


def _bring_pretrained(planned: PlannedRun, work: Path) -> None:
    """Fetch and check ImageNet weights here, once, and not in each process; a training that goes
    on needs none.
    """
    if not any((work / "checkpoints").glob("iteration-*.pth")):
        for file in pretrained_files(planned.experiment.config["model"]):
            _log.info(f"starts from {file.path.name}")
            with show_progress("bytes") as show:
                fetch_pretrained(file, show)


def _train_here(
    plan: Plan,
    planned: PlannedRun,
    key: str,
    manifest: dict[str, Any],
    work: Path,
    stop_request: StopRequest,
) -> int:
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    from mmengine.dist import get_rank

    from isnet.training.trainer import train as run_training

    started = time.time()
    store, remark = usable_store(plan, planned.run.dataset, manifest)
    outcome = run_training(
        planned.experiment,
        devices=planned.run.devices,
        batch=planned.batch,
        speed=planned.run.speed,
        ema=planned.run.ema,
        seed=planned.run.seed,
        manifest=plan.layout.dataset_results(planned.run.dataset) / "manifest.json",
        data=plan.layout.data,
        store=store,
        remark=remark,
        work=work,
        stop_request=stop_request,
    )
    if get_rank() != 0:
        return 0
    if not outcome.finished:
        _log.info(
            f"stopped at iteration {outcome.iteration} by "
            f"{stop_request.signal_name or 'a signal to another rank'}; "
            "the same command continues"
        )
        return INTERRUPTED
    summary = _summary(plan, planned, key, manifest, outcome, started)
    meta = _meta(planned, summary, manifest, outcome.resolved_config)
    _write_outputs(work, outcome, summary, meta, Journal(work / "journal.jsonl"))
    best = outcome.best
    told = f"; best validation mIoU {best['mIoU']:.2%} at {best['iteration']}" if best else ""
    _log.info(f"finished in {outcome.seconds:.0f} s{told}")
    return 0


def _summary(
    plan: Plan,
    planned: PlannedRun,
    key: str,
    manifest: dict[str, Any],
    outcome: Any,
    started: float,
) -> dict[str, Any]:
    experiment = planned.experiment
    return {
        "run": planned.name,
        "dataset": planned.run.dataset,
        "config": planned.run.config,
        "config_digest": experiment.train_digest,
        "key": key,
        "manifest_digest": manifest["digest"],
        "seed": planned.run.seed,
        "iterations": outcome.iteration,
        "global_batch": experiment.global_batch,
        "crop": list(experiment.crop) if experiment.crop else None,
        "devices": str(planned.run.devices),
        "best": outcome.best,
        "seconds": round(outcome.seconds, 1),
        "settings": planned.settings,
        "started": _utc(started),
        "finished": _utc(time.time()),
        "environment": collect_environment(),
    }


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_PROVENANCE = (
    *("run", "dataset", "config", "config_digest", "key", "manifest_digest", "seed", "iterations"),
)


def _meta(
    planned: PlannedRun, summary: dict[str, Any], manifest: dict[str, Any], config_text: str
) -> dict[str, Any]:
    """Return what the weights file says of itself; equal trainings say the same."""
    from isnet.checkpoints.weights_metadata import WeightsMetadata
    from isnet.inference.model_config import deployed_model

    classes, palette = manifest["classes"], manifest["palette"]
    environment = summary["environment"]
    described = WeightsMetadata.from_config(
        planned.experiment.config,
        deployed_model(planned.experiment.config),
        classes=classes,
        palette=palette,
        flip_pairs=manifest["flip_pairs"],
        provenance={key: summary[key] for key in _PROVENANCE}
        | {"method": planned.experiment.method, "backbone": planned.experiment.backbone}
        | {"isnet": environment["isnet"], "git_commit": environment["git_commit"]},
    )
    return {
        # mmseg's names: its `init_model` and inferencer read them.
        "dataset_meta": {"classes": classes, "palette": palette},
        "config": config_text,
        **described.as_meta(),
    }


def _write_outputs(
    work: Path, outcome: Any, summary: dict[str, Any], meta: dict[str, Any], journal: Journal
) -> None:
    """Write the finished training into a folder that appears as a whole."""
    from isnet.checkpoints.checkpoint_folder import save_torch

    made = work / "train.part"
    shutil.rmtree(made, ignore_errors=True)
    save_torch(made / "weights.pth", {"state_dict": outcome.weights, "meta": meta})
    write_text(made / "config.py", outcome.resolved_config)
    write_text(made / "curves.csv", journal.as_csv("train"))
    write_text(made / "validation.csv", journal.as_csv("validation"))
    records = read_records(journal.path, "train")
    rates = [record["images_per_second"] for record in records]
    measured = {
        "images_per_second": sum(rates) / len(rates) if rates else None,
        "peak_memory_gb": max((record["memory_gb"] for record in records), default=None),
        "weights_sha256": sha256_of(made / "weights.pth"),
    }
    TrainRecord.model_validate({**summary, **measured}).write(made / "train.json")
    replace_folder(made, work / "train")

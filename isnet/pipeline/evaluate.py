"""The `evaluate` stage: scores the weights of a run on the validation split, or a file by hand."""

import logging
import os
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isnet.distributed.gpu_lease import gpu_lease
from isnet.distributed.launcher import launch
from isnet.distributed.node import Node
from isnet.distributed.rank import is_rank
from isnet.distributed.slurm_job import wait_for_requeue
from isnet.distributed.stop_signals import StopRequest
from isnet.errors import UserError
from isnet.io.atomic_files import digest_of
from isnet.io.console import show_progress
from isnet.io.exclusive_lock import exclusive
from isnet.machine.gpus import visible_gpus
from isnet.pipeline.mlflow_updates import track
from isnet.pipeline.stage_files import (
    coverage,
    publish,
    read_manifest,
    read_train_record,
    replace_folder,
)
from isnet.records.run_records import MetricsRecord, ScoresRecord, TrainRecord
from isnet.settings.params import Devices
from isnet.settings.plan import Plan
from isnet.settings.planned_run import PlannedRun
from isnet.tracking.environment import collect_environment

if TYPE_CHECKING:
    from isnet.pipeline.trained_run import TrainedRun

_log = logging.getLogger(__name__)

_COUNTS = 1
"""Version of the pixel counts per image. Increase it if a prediction then gives other counts."""


def evaluate(
    plan: Plan,
    run: str | None,
    arguments: list[str],
    stop_request: StopRequest,
    *,
    weights: Path | None = None,
    dataset: str | None = None,
    config: str | None = None,
) -> int:
    """Evaluate a run, or `weights` on the data set `dataset` by hand; return the exit code.

    `arguments` is the command line for the ranks, if there are several. `config` is that of the
    file's model; it is needed unless the file describes itself. Raises UserError if it is not clear
    what to evaluate, or it cannot be.
    """
    if run is not None:
        for name, value in (("WEIGHTS", weights), ("--dataset", dataset), ("--config", config)):
            if value is not None:
                hint = "Leave the one or the other out"
                raise UserError(f"--run and {name} exclude each other", hint=hint)
        return _evaluate_run(plan, run, arguments, stop_request)
    if weights is None or dataset is None:
        hint = "Write `isnet evaluate --run NAME` or `isnet evaluate WEIGHTS --dataset NAME`"
        raise UserError("it is not said what to evaluate", hint=hint)
    from isnet.pipeline.hand_evaluation import evaluate_by_hand, print_evaluation

    print_evaluation(evaluate_by_hand(plan, weights, dataset, config))
    return 0


def _evaluate_run(plan: Plan, run: str, arguments: list[str], stop_request: StopRequest) -> int:
    """Evaluate the weights of a run on the validation split; return the exit code.

    A finished evaluation of the same weights, data and protocol is reused. An interrupted one is
    resumed, because the counts of each finished image are on disk.
    """
    from isnet.reporting.model_card import write_model_card

    planned = plan.run(run)
    manifest = read_manifest(plan, planned.run.dataset)
    trained = read_train_record(plan, run)
    key = plan.evaluate_key(run, trained.weights_sha256, manifest["digest"])
    finished = plan.layout.run_work(run, trained.key) / f"evaluate-{key}"
    if is_rank():
        loaded = _load(plan, planned, finished, key)  # imports mmseg as it must be imported
        from isnet.inference.dataset_evaluation import count_images

        rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        with show_progress(f"images, in each of {ranks} processes") as show:
            count_images(**loaded, rank=rank, world_size=ranks, on_progress=show)
        return 0
    with exclusive(finished):
        if finished.is_dir():
            _log.info("has nothing to do: these weights are evaluated")
        else:
            devices = _devices(planned.run.devices, len(manifest["splits"]["val"]))
            with gpu_lease(devices.gpus):
                status = _count_in_ranks(arguments, devices, finished.parent, stop_request)
                if status:
                    return status
                loaded = _load(plan, planned, finished, key)
                write_evaluation(loaded, finished, _identity(planned, trained))
    publish(finished, plan.layout.evaluate_results(run))
    # Beside the weights, so that it is passed on with them; `train` removes it with them.
    write_model_card(run, plan.layout.results)
    metrics = MetricsRecord.read(finished / "metrics.json")
    _log.info(_score_line(metrics, coverage(plan, planned.run.dataset)))
    track(plan, run)
    return 0


def _score_line(metrics: MetricsRecord, coverage: str) -> str:
    """Return the scores for the terminal; `coverage` says which part of the classes is labelled."""
    single, multi = metrics.single_scale, metrics.multi_scale_flip
    if single.aAcc is None:
        return "there is no score: no pixel of the validation labels has a class"
    line = f"mIoU {single.mIoU or 0:.2%}{coverage}, mDice {single.mDice or 0:.2%}"
    line += f", pixel accuracy {single.aAcc:.2%}"
    return f"{line}, mIoU with ms+flip {multi.mIoU or 0:.2%}" if multi else line


def _devices(devices: Devices, images: int) -> Devices:
    """Return the devices for an evaluation: those on one machine, at most one per image."""
    available = max(len(visible_gpus()), 1) if devices.gpus else devices.per_node
    return Devices(kind=devices.kind, per_node=max(min(devices.per_node, available, images), 1))


def _count_in_ranks(
    arguments: list[str], devices: Devices, work: Path, stop_request: StopRequest
) -> int:
    """Count pixels in several ranks if there are several devices; return the exit code."""
    if devices.processes == 1:
        return 0
    status = launch(arguments, devices, Node(), work, stop_request)
    if status and stop_request.signal_name:
        wait_for_requeue(stop_request.signal_name)
    if not status:
        stop_request.end_deferral()
    return status


def _load(plan: Plan, planned: PlannedRun, finished: Path, key: str) -> dict[str, Any]:
    """Return the keyword arguments of `count_images`: model, data set and settings."""
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    import torch

    from isnet.pipeline.trained_run import load_run

    if planned.run.devices.gpus and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return counting_arguments(load_run(plan, planned), finished, key)


def counting_arguments(loaded: "TrainedRun", finished: Path, key: str) -> dict[str, Any]:
    """Return the keyword arguments of `count_images`.

    `finished` is the folder of the evaluation's results; the journals are beside it. `key` is the
    hash of what decides the counts.
    """
    from mmseg.registry import DATASETS

    from isnet.training.loader_workers import ignore_signals, share_temporary_folder

    share_temporary_folder()
    return {
        "model": loaded.network,
        "dataset": DATASETS.build(loaded.dataset),
        "protocol": loaded.protocol,
        "journals": finished.with_suffix(".journals"),
        "fingerprint": digest_of([_COUNTS, metadata.version("isnet"), key]),
        "worker_init_fn": ignore_signals,
    }


def write_evaluation(arguments: dict[str, Any], finished: Path, identity: dict[str, Any]) -> None:
    """Count the images that no journal has yet, and write the evaluation's results atomically."""
    from isnet.inference.dataset_evaluation import evaluate_dataset

    part = finished.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with show_progress("images") as progress:
        metrics = evaluate_dataset(
            **arguments, directory=part, identity=identity, on_progress=progress
        )
    ScoresRecord.of(metrics).write(part / "scores.json")
    replace_folder(part, finished)
    shutil.rmtree(arguments["journals"], ignore_errors=True)


def _identity(planned: PlannedRun, trained: TrainRecord) -> dict[str, Any]:
    return {
        "run": planned.name,
        "dataset": planned.run.dataset,
        "weights_sha256": trained.weights_sha256,
        "manifest_digest": trained.manifest_digest,
        "split": "val",
        "iteration": trained.iterations,
        "method": planned.experiment.method,
        "backbone": planned.experiment.backbone,
        "crop": trained.crop,
        **({"weights": trained.weights} if trained.weights else {}),
        "environment": collect_environment(),
    }

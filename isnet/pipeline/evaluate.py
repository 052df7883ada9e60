"""The `evaluate` stage: scores a run on the validation split."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from isnet.distributed.gpu_lease import gpu_lease
from isnet.distributed.launcher import launch
from isnet.distributed.node import Node
from isnet.distributed.rank import is_rank
from isnet.distributed.slurm_job import wait_for_requeue
from isnet.distributed.stop_signals import StopRequest
from isnet.io.atomic_files import digest_of
from isnet.io.console import show_progress
from isnet.io.visible_gpus import visible_gpus
from isnet.io.wait_lock import exclusive
from isnet.pipeline.mlflow_updates import track
from isnet.pipeline.stage_files import publish, read_manifest, read_train_record, replace_folder
from isnet.records.run_records import MetricsRecord, ScoresRecord, TrainRecord
from isnet.settings.params import Devices
from isnet.settings.plan import Plan, PlannedRun
from isnet.tracking.environment import collect_environment

_log = logging.getLogger(__name__)

_COUNTS = 1
"""Version of the counts of an image; raised when the same prediction gives other counts."""


def evaluate(plan: Plan, name: str, arguments: list[str], stop_request: StopRequest) -> int:
    """Evaluate a run's weights, or publish the finished evaluation of the same weights, data and
    protocol; return the exit code.

    Args:
        plan: all of params.yaml.
        name: the run.
        arguments: command line of the ranks, if there are several.
        stop_request: ends this process on a stop signal; counted images are on disk.
    """
    from isnet.reporting.model_card import write_model_card

    planned = plan.run(name)
    manifest = read_manifest(plan, planned.run.dataset)
    trained = read_train_record(plan, name)
    key = plan.evaluate_key(name, trained.weights_sha256, manifest["digest"])
    finished = plan.layout.run_work(name, trained.key) / f"evaluate-{key}"
    evaluation = _EvaluateStage(plan, planned, trained, key, finished)
    if is_rank():
        evaluation.count_as_rank()
        return 0
    with exclusive(finished):
        if finished.is_dir():
            _log.info("has nothing to do: these weights are evaluated")
        elif status := _evaluate(evaluation, manifest, arguments, stop_request):
            return status
    publish(finished, plan.layout.evaluate_results(name))
    # Beside the weights, so that it is passed on with them; `train` removes it with them.
    write_model_card(name, plan.layout.results)
    _log.info(_headline(MetricsRecord.read(finished / "metrics.json")))
    track(plan, name)
    return 0


def _evaluate(
    evaluation: _EvaluateStage,
    manifest: dict[str, Any],
    arguments: list[str],
    stop_request: StopRequest,
) -> int:
    """Count in several processes if the run has several devices, and finish in this one."""
    devices = _devices(evaluation.planned.run.devices, len(manifest["splits"]["val"]))
    with gpu_lease(devices.gpus):
        if devices.processes > 1:
            work = evaluation.finished.parent
            status = launch(arguments, devices, Node(), work, stop_request)
            if status and stop_request.signal_name:
                wait_for_requeue(stop_request.signal_name)
            if status:
                return status
            stop_request.end_deferral()
        evaluation.finish()
    return 0


def _devices(devices: Devices, images: int) -> Devices:
    """Return the devices to evaluate on: those of one machine, at most one per image."""
    available = max(len(visible_gpus()), 1) if devices.gpus else devices.per_node
    return Devices(kind=devices.kind, per_node=max(min(devices.per_node, available, images), 1))


def _headline(metrics: MetricsRecord) -> str:
    single, multi = metrics.single_scale, metrics.multi_scale_flip
    line = f"mIoU {single.mIoU or 0:.2%}, pixel accuracy {single.aAcc or 0:.2%}"
    return f"{line}, mIoU with ms+flip {multi.mIoU or 0:.2%}" if multi else line


@dataclass(frozen=True)
class _EvaluateStage:
    """One evaluation: its inputs, its result folder, and its journals beside that until then."""

    plan: Plan
    planned: PlannedRun
    trained: TrainRecord
    key: str
    finished: Path

    @property
    def _journals(self) -> Path:
        return self.finished.with_suffix(".journals")

    def _arguments(self) -> dict[str, Any]:
        """Return model, data set and settings for `count_images`."""
        from isnet.mmseg_import import import_mmseg

        import_mmseg()
        import torch
        from mmseg.registry import DATASETS

        from isnet.pipeline.trained_run import load_run
        from isnet.training.loader_workers import ignore_signals

        if self.planned.run.devices.gpus and torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        run = load_run(self.plan, self.planned)
        return {
            "model": run.network,
            "dataset": DATASETS.build(run.dataset),
            "protocol": run.protocol,
            "journals": self._journals,
            "fingerprint": digest_of([_COUNTS, metadata.version("isnet"), self.key]),
            "worker_init_fn": ignore_signals,
        }

    def count_as_rank(self) -> None:
        """Count the images of this process, one of several."""
        arguments = self._arguments()
        from isnet.inference.dataset_evaluation import count_images

        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        with show_progress(f"images, in each of {world_size} processes") as progress:
            count_images(**arguments, rank=rank, world_size=world_size, on_progress=progress)

    def finish(self) -> None:
        """Count the images that are missing in the journals, and write the results atomically."""
        arguments = self._arguments()
        from isnet.inference.dataset_evaluation import evaluate_dataset

        part = self.finished.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        with show_progress("images") as progress:
            metrics = evaluate_dataset(
                **arguments, directory=part, identity=self._identity(), on_progress=progress
            )
        ScoresRecord.of(metrics).write(part / "scores.json")
        replace_folder(part, self.finished)
        shutil.rmtree(self._journals, ignore_errors=True)

    def _identity(self) -> dict[str, Any]:
        experiment, trained = self.planned.experiment, self.trained
        return {
            "run": self.planned.name,
            "dataset": self.planned.run.dataset,
            "weights_sha256": trained.weights_sha256,
            "manifest_digest": trained.manifest_digest,
            "split": "val",
            "iteration": trained.iterations,
            "method": experiment.method,
            "backbone": experiment.backbone,
            "crop": trained.crop,
            "environment": collect_environment(),
        }

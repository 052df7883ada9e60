"""The `evaluate` stage."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isnet.distributed.gpu_lease import gpu_lease
from isnet.distributed.launcher import launch
from isnet.distributed.node import Node
from isnet.distributed.rank import is_rank
from isnet.distributed.slurm_job import wait_for_requeue
from isnet.distributed.stop_signals import INTERRUPTED, StopRequest
from isnet.io.atomic_files import digest_of
from isnet.io.console import show_progress
from isnet.io.visible_gpus import visible_gpus
from isnet.io.wait_lock import exclusive
from isnet.pipeline.mlflow_updates import track
from isnet.pipeline.run_model import load_model, protocol_of, validation_set
from isnet.pipeline.stage_files import publish, read_manifest, read_train_record, replace_folder
from isnet.records.evaluate_record import MetricsRecord, ScoresRecord
from isnet.records.train_record import TrainRecord
from isnet.settings.params import Devices
from isnet.settings.plan import Plan, PlannedRun
from isnet.tracking.environment import collect_environment

if TYPE_CHECKING:
    from mmseg.models.segmentors import EncoderDecoder

    from isnet.inference.evaluation_protocol import EvaluationProtocol

__all__ = ["INTERRUPTED", "evaluate"]

_log = logging.getLogger(__name__)

_COUNTS = 1
"""Version of what is counted of an image; raised when the same prediction gives other counts."""


def evaluate(plan: Plan, name: str, arguments: list[str], stop_request: StopRequest) -> int:
    """Score a run's weights on the validation split, or adopt the same evaluation; return the exit
    code.

    Args:
        plan: all of params.yaml.
        name: the run.
        arguments: the command line, for several processes.
        stop_request: ends this process on a stopping signal: an image that is counted is on disk.
    """
    from isnet.reporting.model_card import write_model_card

    planned = plan.run(name)
    manifest = read_manifest(plan, planned.run.dataset)
    trained = read_train_record(plan, name)
    key = plan.evaluate_key(name, trained.weights_sha256, manifest["digest"])
    finished = plan.layout.run_work(name, trained.key) / f"evaluate-{key}"
    evaluation = _Evaluation(plan, planned, trained, key, finished)
    if is_rank():
        evaluation.count_share()
        return 0
    with exclusive(finished):
        if finished.is_dir():
            _log.info("has nothing to do: these weights are evaluated")
        elif status := _evaluate(evaluation, manifest, arguments, stop_request):
            return status
    publish(finished, plan.layout.evaluate_results(name))
    # Beside the weights, where whoever passes them on finds it; `train` clears it away with them.
    write_model_card(name, plan.layout.results)
    _log.info(_headline(MetricsRecord.read(finished / "metrics.json")))
    track(plan, name)
    return 0


def _evaluate(
    evaluation: _Evaluation,
    manifest: dict[str, Any],
    arguments: list[str],
    stop_request: StopRequest,
) -> int:
    """Count in several processes where the run has several devices; the rest is done here."""
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
    """Return what of a run's devices evaluates: those of one machine, as many as there are."""
    there = max(len(visible_gpus()), 1) if devices.gpus else devices.per_node
    return Devices(kind=devices.kind, per_node=max(min(devices.per_node, there, images), 1))


def _headline(metrics: MetricsRecord) -> str:
    single, multi = metrics.single_scale, metrics.multi_scale_flip
    line = f"mIoU {single.mIoU or 0:.2%}, pixel accuracy {single.aAcc or 0:.2%}"
    return f"{line}, mIoU with ms+flip {multi.mIoU or 0:.2%}" if multi else line


@dataclass(frozen=True)
class _Evaluation:
    """What is evaluated, and the folder it becomes; what is counted lies beside that until then."""

    plan: Plan
    planned: PlannedRun
    trained: TrainRecord
    key: str
    finished: Path

    @property
    def journals(self) -> Path:
        return self.finished.with_suffix(".journals")

    @property
    def fingerprint(self) -> str:
        return digest_of([_COUNTS, metadata.version("isnet"), self.key])

    def loaded(self) -> tuple[EncoderDecoder, Any, EvaluationProtocol]:
        """Return model, data set and protocol."""
        from isnet.mmseg_import import import_mmseg

        import_mmseg()
        import torch
        from mmseg.registry import DATASETS

        plan, planned = self.plan, self.planned
        if planned.run.devices.gpus and torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dataset = DATASETS.build(validation_set(plan, planned))
        return load_model(plan, planned), dataset, protocol_of(plan, planned)

    def count_share(self) -> None:
        """Count the images of this process, one of several."""
        model, dataset, protocol = self.loaded()
        from isnet.inference.dataset_evaluation import Share, count_images
        from isnet.training.loader_workers import ignore_signals

        share = Share(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
        with show_progress(f"images, in each of {share.of} processes") as progress:
            count_images(
                model,
                dataset,
                protocol,
                self.journals,
                self.fingerprint,
                share=share,
                worker_init_fn=ignore_signals,
                on_progress=progress,
            )

    def finish(self) -> None:
        """Count what nobody has counted, and write the results as a whole."""
        model, dataset, protocol = self.loaded()
        from isnet.inference.dataset_evaluation import evaluate_dataset
        from isnet.training.loader_workers import ignore_signals

        made = self.finished.with_suffix(".part")
        shutil.rmtree(made, ignore_errors=True)
        with show_progress("images") as progress:
            metrics = evaluate_dataset(
                model,
                dataset,
                protocol,
                made,
                self._identity(),
                journals=self.journals,
                fingerprint=self.fingerprint,
                worker_init_fn=ignore_signals,
                on_progress=progress,
            )
        ScoresRecord.of(metrics).write(made / "scores.json")
        replace_folder(made, self.finished)
        shutil.rmtree(self.journals, ignore_errors=True)

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

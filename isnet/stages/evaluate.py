"""The `evaluate` stage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from isnet.console import Console
from isnet.engine.gpu_lease import gpu_lease
from isnet.files import write_json
from isnet.plan import Plan, PlannedRun
from isnet.stages.inputs import publish, read_manifest, read_train_summary, replace_folder
from isnet.stages.track import track
from isnet.tracking.environment import collect_environment

__all__ = ["evaluate"]


def evaluate(plan: Plan, name: str, console: Console) -> None:
    """Score a run's weights on the validation split, or adopt the same evaluation."""
    planned = plan.run(name)
    manifest = read_manifest(plan, planned.run.dataset)
    trained = read_train_summary(plan, name)
    key = plan.evaluate_key(name, trained["weights_sha256"], manifest["digest"])
    finished = plan.layout.run_work(name, trained["key"]) / f"evaluate-{key}"
    if finished.is_dir():
        console.line("has nothing to do: these weights are evaluated")
    else:
        made = finished.with_suffix(".part")
        shutil.rmtree(made, ignore_errors=True)
        with gpu_lease(min(1, planned.run.devices.gpus), console.line):
            _evaluate_into(made, plan, planned, trained, console)
        replace_folder(made, finished)
    publish(finished, plan.layout.evaluate_results(name))
    metrics = json.loads((finished / "metrics.json").read_text())
    console.line(_headline(metrics))
    track(plan, name, console)


def _headline(metrics: dict[str, Any]) -> str:
    single, multi = metrics["single_scale"], metrics["multi_scale_flip"]
    line = f"mIoU {single['mIoU']:.2%}, pixel accuracy {single['aAcc']:.2%}"
    return f"{line}, mIoU with ms+flip {multi['mIoU']:.2%}" if multi else line


def _evaluate_into(
    directory: Path, plan: Plan, planned: PlannedRun, trained: dict[str, Any], console: Console
) -> None:
    from isnet.engine.quiet import import_mmseg

    import_mmseg()
    from mmseg.registry import DATASETS

    from isnet.engine.assemble import evaluation_dataset
    from isnet.engine.deployed import load_deployed
    from isnet.evaluation.evaluate import evaluate_run
    from isnet.evaluation.protocol import Protocol

    experiment, layout = planned.experiment, plan.layout
    config = experiment.config
    weights = layout.train_results(planned.name) / "weights.pth"
    manifest = layout.dataset_results(planned.run.dataset) / "manifest.json"
    dataset = DATASETS.build(evaluation_dataset(config, manifest, layout.data))
    model = load_deployed(config, weights, planned.run.devices)
    identity = {
        "run": planned.name,
        "dataset": planned.run.dataset,
        "weights_sha256": trained["weights_sha256"],
        "manifest_digest": trained["manifest_digest"],
        "split": "val",
        "iteration": trained["iterations"],
        "method": experiment.method,
        "backbone": experiment.backbone,
        "crop": trained["crop"],
        "environment": collect_environment(),
    }
    with console.progress("images") as progress:
        metrics = evaluate_run(
            model,
            dataset,
            Protocol.from_config(
                config.get("evaluation"),
                config["model"].get("test_cfg"),
                dataset.metainfo["flip_pairs"],
            ),
            directory,
            identity,
            on_progress=progress,
        )
    write_json(directory / "scores.json", _scores(metrics))


def _scores(metrics: dict[str, Any]) -> dict[str, Any]:
    """The few numbers by which runs are compared, for `dvc metrics show` and `dvc exp show`."""
    single, multi = metrics["single_scale"], metrics["multi_scale_flip"]
    scores = {name: single[name] for name in ("mIoU", "mAcc", "aAcc")}
    if multi:
        scores["mIoU_ms_flip"] = multi["mIoU"]
    return scores | {"images_per_second": metrics["images_per_second"]}

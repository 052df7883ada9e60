"""Builds the records of runs that are uploaded to MLflow, from the files on disk."""

from pathlib import Path
from typing import Any

from isnet.distributed.run_lock import run_lock_owner
from isnet.io.atomic_files import read_json
from isnet.pipeline.run_status import dataset_status
from isnet.records.csv_rows import read_rows
from isnet.records.dataset_records import labelled_classes
from isnet.records.run_records import ClassScore
from isnet.settings.plan import Plan
from isnet.tracking.tracked_run import State, TrackedRun, run_parameters


def current_record(plan: Plan, name: str) -> TrackedRun | None:
    """Return the record of the training with the present settings, finished or not.

    If there is none, return the record of the last published training, or None without any.
    """
    published = plan.layout.train_results(name)
    declared = read_json(published / "train.json")
    digest = dataset_status(plan, plan.run(name).run.dataset).digest
    if digest:
        key = plan.train_key(name, digest)
        work = plan.layout.run_work(name, key)
        has_begun = declared.get("key") != key and (work / "journal.jsonl").is_file()
        if has_begun or (work / "train").is_dir():
            state: State = "running" if run_lock_owner(work) else "interrupted"
            return training_record(plan, name, work, digest, state)
    if not declared:
        return None
    return _finished(plan, name, plan.layout.run_work(name, declared["key"]), published)


def training_record(
    plan: Plan, name: str, work: Path, manifest_digest: str, state: State
) -> TrackedRun:
    """Return the record of the training in the folder `work`.

    Its state is "finished" if `work` has the results of the training, else `state`.
    """
    if (work / "train").is_dir():
        return _finished(plan, name, work, work / "train")
    return _record(plan, name, work, manifest_digest, state)


def _finished(plan: Plan, name: str, work: Path, trained: Path) -> TrackedRun:
    summary = read_json(trained / "train.json")
    evaluated = plan.layout.evaluate_results(name)
    metrics = read_json(evaluated / "metrics.json") or None
    if metrics and metrics["weights_sha256"] != summary["weights_sha256"]:
        metrics = None  # of other weights; the workflow engine has not replaced it yet
    weights = trained / "weights.pth"
    artifacts = [trained / "config.py", plan.layout.train_settings(name)]
    if metrics:
        names = ("metrics.json", "per_class.csv", "confusion.csv", "overlays")
        artifacts += [evaluated / file for file in names]
        artifacts.append(plan.layout.train_results(name) / "model_card.md")
        artifacts.append(plan.layout.reports / "runs" / f"{name}.html")
    return _record(
        plan,
        name,
        work,
        summary["manifest_digest"],
        "finished",
        summary=summary,
        metrics=metrics,
        artifacts=tuple(path for path in artifacts if path.exists()),
        weights=weights if metrics and weights.is_file() else None,
        labelled_classes=_labelled_classes(evaluated / "per_class.csv") if metrics else "",
    )


def _labelled_classes(table: Path) -> str:
    """Return over how many classes a table has scores, if not over all; empty without a table."""
    try:
        return labelled_classes([score.pixels for score in read_rows(table, ClassScore)])
    except (OSError, ValueError):
        return ""


def _record(
    plan: Plan, name: str, work: Path, manifest_digest: str, state: State, **more: Any
) -> TrackedRun:
    planned = plan.run(name)
    summary = more.get("summary") or {}
    settings = summary.get("settings") or planned.settings
    # An earlier training had the planned config only if its key is the same.
    is_planned = work.name == plan.train_key(name, manifest_digest)
    # Weights that were not trained here have no optimizer, whatever the config says.
    is_trained = is_planned and not summary.get("weights")
    return TrackedRun(
        name=name,
        key=work.name,
        settings=settings,
        parameters=run_parameters(settings, planned.experiment.config if is_trained else None),
        sweep=planned.run.sweep,
        iterations=int(summary.get("iterations") or planned.experiment.iterations),
        work=work,
        state=state,
        manifest_digest=manifest_digest,
        **more,
    )

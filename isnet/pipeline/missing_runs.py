"""Which runs the report cannot show, and why; imports no torch."""

from __future__ import annotations

from pathlib import Path

from isnet.io.atomic_files import read_json
from isnet.pipeline.run_status import DatasetStatus, RunStatus, dataset_status, run_status
from isnet.reporting.missing_results import MissingRun
from isnet.settings.plan import Plan

__all__ = ["missing_runs"]

_LONGEST = 200
"""Characters of a log's last line."""


def missing_runs(plan: Plan) -> list[MissingRun]:
    """Return the runs without results of the present settings and data, in params.yaml's order."""
    datasets = {name: dataset_status(plan, name) for name in plan.params.datasets}
    found = []
    for name, planned in plan.runs.items():
        dataset = datasets[planned.run.dataset]
        status = run_status(plan, name, dataset.digest)
        if entry := _missing(plan, status, dataset):
            found.append(entry)
    return found


def _missing(plan: Plan, status: RunStatus, dataset: DatasetStatus) -> MissingRun | None:
    name = status.run
    declared = read_json(plan.layout.train_results(name) / "train.json")
    scores = read_json(plan.layout.evaluate_results(name) / "metrics.json")
    if status.stage == "data missing":
        return _without_data(plan, name, dataset)
    if status.stage not in ("trained", "evaluated"):
        return _entry(plan, name, *_untrained(plan, status, dataset))
    if declared.get("key") != _key(plan, name, dataset):
        why = "trained, but its files in results/ are absent or of other settings"
        return _entry(plan, name, why, "train", has_run=True)
    if scores.get("weights_sha256") == declared["weights_sha256"]:
        return None  # also where another machine evaluated them, and DVC brought the scores
    why = "trained, but not evaluated"
    if status.stage == "evaluated":
        why = "evaluated, but its scores in results/ are absent or of other weights"
    return _entry(plan, name, why, "evaluate", has_run=True)


def _without_data(plan: Plan, name: str, dataset: DatasetStatus) -> MissingRun:
    stage = "convert" if dataset.stage == "downloaded" else "download"
    state = {
        "downloaded": "is not converted",
        "out of date": "was made with other settings",
    }.get(dataset.stage, "is not downloaded")
    log = plan.layout.log(stage, dataset.dataset)
    why = f"never trained: data set {dataset.dataset} {state}"
    return _with_log(plan, name, why, f"isnet {stage} --dataset {dataset.dataset}", log)


def _untrained(plan: Plan, status: RunStatus, dataset: DatasetStatus) -> tuple[str, str, bool]:
    """Return why, the stage that goes on, and whether the log is of this training."""
    of_all = f"iteration {status.iteration} of {status.iterations}"
    work = plan.layout.run_work(status.run, _key(plan, status.run, dataset))
    if status.holder:
        by = f"{status.holder.host}:{status.holder.pid}"
        return f"training now ({by}), at {of_all}", "train", True
    if status.stage == "interrupted":
        if not status.iteration:
            return "stopped before its first checkpoint", "train", True
        return f"interrupted, and goes on at {of_all}", "train", True
    if work.is_dir():
        return "stopped before its first iteration", "train", True
    if status.stage == "out of date":
        return "trained with other settings or data only", "train", False
    return "never trained", "train", False


def _key(plan: Plan, name: str, dataset: DatasetStatus) -> str:
    assert dataset.digest is not None
    return plan.train_key(name, dataset.digest)


def _entry(plan: Plan, name: str, why: str, stage: str, has_run: bool) -> MissingRun:
    log = plan.layout.log(stage, name)
    command = f"isnet {stage} --run {name}"
    return _with_log(plan, name, why, command, log if has_run else None)


def _with_log(plan: Plan, name: str, why: str, command: str, log: Path | None) -> MissingRun:
    planned = plan.run(name)
    exists = log is not None and log.is_file()
    return MissingRun(
        run=name,
        dataset=planned.run.dataset,
        method=planned.experiment.method,
        why=why,
        command=command,
        log=str(log) if exists else "",
        said=_last_line(log) if log and exists else "",
    )


def _last_line(log: Path) -> str:
    """Return what a stage said last, without the time before it."""
    lines = log.read_text(errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.partition(" ")[2].strip()[:_LONGEST]

"""Reads the progress of runs and data sets from disk, without importing torch."""

import time
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isnet.distributed.run_lock import run_lock_owner
from isnet.io.atomic_files import read_json
from isnet.io.lock_owner import LockOwner
from isnet.settings.plan import Plan
from isnet.tracking.journal import journal_records, last_records

Unfinished = Literal["nothing done", "out of date", "starting", "training", "interrupted"]
Stage = Literal["data missing", "trained", "imported", "evaluated"] | Unfinished


@dataclass(frozen=True)
class Checkpoints:
    """Iterations (in ascending order) and total size in bytes of the checkpoints of a training."""

    iterations: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class UnusedFolders:
    """Number and size in bytes of the work folders that the present settings do not use."""

    count: int
    bytes: int


@dataclass(frozen=True)
class RunStatus:
    """Progress of one run; scores are fractions in 0..1."""

    run: str
    stage: Stage
    iteration: int  # current iteration. An interrupted training resumes from this one
    iterations: int | None  # None for a run that trains nothing: it scores `weights`
    weights: str | None  # origin of the weights of such a run
    seconds_left: float | None
    """Remaining training time; None unless the run is training and its speed is known."""
    mIoU: float | None  # mIoU of the last validation; None before the first
    metric: str  # the score that chooses the best weights
    score: float | None  # the score `metric` of the last validation
    best: dict[str, Any] | None  # iteration and score of the best validation
    holder: LockOwner | None  # the process that trains the run; None if there is no such process
    checkpoints: Checkpoints
    bytes: int  # size of the training's work folder
    others: UnusedFolders  # work folders of trainings of this run with other settings or data


@dataclass(frozen=True)
class DatasetStatus:
    """Progress of a data set: its last finished stage with the present settings."""

    dataset: str
    stage: Literal["nothing done", "out of date", "downloaded", "converted"]
    digest: str | None  # digest of the manifest; None before the data set is converted
    packed_bytes: int  # size of the packed store of the data set; 0 if there is none


def dataset_status(plan: Plan, name: str) -> DatasetStatus:
    """Return the progress of a data set."""
    results = plan.layout.dataset_results(name)
    source, manifest = read_json(results / "source.json"), read_json(results / "manifest.json")
    if manifest.get("key") == plan.dataset_key(name):
        digest = str(manifest["digest"])
        store = read_json(results / "store.json")
        packed = int(store["bytes"]) if store.get("manifest_digest") == digest else 0
        return DatasetStatus(name, "converted", digest, packed)
    if source.get("key") == plan.download_key(name):
        return DatasetStatus(name, "downloaded", None, 0)
    return DatasetStatus(name, "out of date" if source or manifest else "nothing done", None, 0)


def run_status(plan: Plan, name: str, manifest_digest: str | None) -> RunStatus:
    """Return the progress of a run; `manifest_digest` is None before its data are converted."""
    key = plan.train_key(name, manifest_digest) if manifest_digest else "no-data"
    planned, work = plan.run(name), plan.layout.run_work(name, key)
    journal = work / "journal.jsonl"
    owner, checkpoints = run_lock_owner(work), _checkpoints(work)
    records, scores = last_records(journal), journal_records(journal, "validation")
    declared = read_json(plan.layout.train_results(name) / "train.json")
    finished = read_json(work / "train" / "train.json")
    summary = finished or (declared if declared.get("key") == key else {})
    others = _measure_unused(work.parent, {work.name})
    # Without a running process, iterations after the newest checkpoint are lost.
    iteration, seconds_left = max(checkpoints.iterations, default=0), None
    stage: Stage
    if not manifest_digest:
        stage = "data missing"
    elif summary:
        stage = "imported" if planned.is_scored_only else "trained"
        stage = "evaluated" if _is_evaluated(plan, name, summary, work) else stage
    elif owner and (records or checkpoints.iterations):
        stage = "training"
        iteration = max([iteration, *(record["iteration"] for record in records[-1:])])
        seconds_left = _seconds_left(plan, name, records, owner)
    elif owner:
        stage = "starting"
    elif records or checkpoints.iterations:
        stage = "interrupted"
    else:
        stage = "out of date" if others.count or declared else "nothing done"
    metric, last = planned.run.best, scores[-1] if scores else {}
    known = [record for record in scores if record.get(metric) is not None]
    best = max(known, key=lambda record: record[metric], default=summary.get("best") or None)
    return RunStatus(
        run=name,
        stage=stage,
        iteration=int(summary.get("iterations") or 0) if summary else iteration,
        iterations=None if planned.is_scored_only else planned.experiment.iterations,
        weights=planned.start.origin if planned.start and planned.is_scored_only else None,
        seconds_left=seconds_left,
        mIoU=last.get("mIoU"),
        metric=metric,
        score=last.get(metric),
        best={"iteration": best["iteration"], metric: best[metric]} if best else None,
        holder=owner,
        checkpoints=checkpoints,
        bytes=_size(work),
        others=others,
    )


def unnamed_runs(plan: Plan) -> UnusedFolders:
    """Return number and size of the work folders of runs that are not in params.yaml."""
    wrong = {entry.removeprefix("runs.") for entry in plan.wrong}
    return _measure_unused(plan.layout.work / "runs", plan.runs.keys() | wrong)


def _is_evaluated(plan: Plan, name: str, summary: dict[str, Any], work: Path) -> bool:
    weights = summary["weights_sha256"]
    key = plan.evaluate_key(name, weights, summary["manifest_digest"])
    if (work / f"evaluate-{key}").is_dir():
        return True
    declared = read_json(plan.layout.evaluate_results(name) / "metrics.json")
    # Without a work folder, only the weights can be compared.
    return not work.is_dir() and declared.get("weights_sha256") == weights


def _seconds_left(
    plan: Plan, name: str, records: list[dict[str, Any]], owner: LockOwner
) -> float | None:
    """Estimate the remaining training time from the speed of the running process.

    The speed includes validations. None means that it is unknown yet.
    """
    steps = [r for r in records if r["kind"] == "train" and r["time"] >= owner.since]
    if not steps:
        return None
    first, last = steps[0], steps[-1]
    experiment = plan.run(name).experiment
    if last["time"] > first["time"]:
        rate = (last["iteration"] - first["iteration"]) / (last["time"] - first["time"])
    else:
        rate = last["images_per_second"] / experiment.global_batch
    if rate <= 0:
        return None
    left = (experiment.iterations - last["iteration"]) / rate
    return float(max(0.0, left - (time.time() - last["time"])))


def _checkpoints(work: Path) -> Checkpoints:
    found: dict[int, int] = {}
    for path in (work / "checkpoints").glob("iteration-*.pth"):
        number = path.stem.removeprefix("iteration-")
        if number.isdecimal():
            found[int(number)] = _file_size(path)
    return Checkpoints(tuple(sorted(found)), sum(found.values()))


def _measure_unused(place: Path, used: Container[str]) -> UnusedFolders:
    """Return number and size of the folders in `place` whose names are not in `used`."""
    folders = (path for path in place.glob("*/") if path.name not in used)
    sizes = [_size(folder) for folder in folders]
    return UnusedFolders(len(sizes), sum(sizes))


def _size(folder: Path) -> int:
    return sum(_file_size(path) for path in folder.rglob("*"))


def _file_size(path: Path) -> int:
    """Return the size of a file, or 0 if it is deleted meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0

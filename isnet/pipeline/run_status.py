"""Progress of runs and data sets, read from disk; imports no torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from isnet.distributed.run_lock import run_lock_owner
from isnet.io.atomic_files import read_json
from isnet.io.lock_owner import LockOwner
from isnet.settings.plan import Plan
from isnet.tracking.journal_reader import last_records, validations

__all__ = [
    "Checkpoints",
    "DatasetStatus",
    "RunStatus",
    "UnusedFolders",
    "dataset_status",
    "run_status",
    "unnamed_runs",
]

Stage = Literal[
    "data missing",
    "nothing done",
    "out of date",
    "starting",
    "training",
    "interrupted",
    "trained",
    "evaluated",
]


@dataclass(frozen=True)
class Checkpoints:
    """Iterations and total size of a training's checkpoints, oldest first."""

    iterations: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class UnusedFolders:
    """Number and size of folders that no present setting uses."""

    count: int
    bytes: int


@dataclass(frozen=True)
class RunStatus:
    """Progress of one run; scores are fractions in 0..1."""

    run: str
    stage: Stage
    iteration: int
    """Current iteration; for an interrupted training, the one it resumes at."""
    iterations: int
    seconds_left: float | None
    """Only while it trains, once its rate is known."""
    mIoU: float | None
    """Of the last validation."""
    best: dict[str, Any] | None
    holder: LockOwner | None
    """The process that trains it."""
    checkpoints: Checkpoints
    bytes: int
    """Size of its work folder."""
    others: UnusedFolders
    """Trainings of this run with other settings or data."""


@dataclass(frozen=True)
class DatasetStatus:
    """Finished stages of a data set with the present settings."""

    dataset: str
    stage: Literal["nothing done", "out of date", "downloaded", "converted"]
    digest: str | None
    """Digest of the manifest, once converted."""
    packed_bytes: int
    """Size of its packed store; 0 without one."""


def dataset_status(plan: Plan, name: str) -> DatasetStatus:
    """Return the progress of a data set."""
    results, key = plan.layout.dataset_results(name), plan.dataset_key(name)
    source, manifest = read_json(results / "source.json"), read_json(results / "manifest.json")
    if manifest.get("key") == key:
        digest = str(manifest["digest"])
        store = read_json(results / "store.json")
        packed = int(store["bytes"]) if store.get("manifest_digest") == digest else 0
        return DatasetStatus(name, "converted", digest, packed)
    if source.get("key") == key:
        return DatasetStatus(name, "downloaded", None, 0)
    return DatasetStatus(name, "out of date" if source or manifest else "nothing done", None, 0)


def run_status(plan: Plan, name: str, manifest_digest: str | None) -> RunStatus:
    """Return the progress of a run; `manifest_digest` is None before its data are converted."""
    key = plan.train_key(name, manifest_digest) if manifest_digest else "no-data"
    work = plan.layout.run_work(name, key)
    folders = [path for path in _folders(work.parent) if path != work]
    holder, checkpoints = run_lock_owner(work), _checkpoints(work)
    records, scores = last_records(work / "journal.jsonl"), validations(work / "journal.jsonl")
    declared = read_json(plan.layout.train_results(name) / "train.json")
    finished = read_json(work / "train" / "train.json")
    summary = finished or (declared if declared.get("key") == key else {})
    stage: Stage
    if not manifest_digest:
        stage = "data missing"
    elif summary:
        stage = "evaluated" if _is_evaluated(plan, name, summary, work) else "trained"
    else:
        has_begun = bool(records or checkpoints.iterations)
        stage = _unfinished(has_begun, holder, has_others=bool(folders or declared))
    best = max(scores, key=_score, default=summary.get("best") or None)
    return RunStatus(
        run=name,
        stage=stage,
        iteration=_iteration(stage, records, checkpoints, summary),
        iterations=plan.run(name).experiment.iterations,
        seconds_left=_seconds_left(plan, name, records, holder) if stage == "training" else None,
        mIoU=_score(scores[-1]) if scores else None,
        best={"iteration": best["iteration"], "mIoU": best["mIoU"]} if best else None,
        holder=holder,
        checkpoints=checkpoints,
        bytes=_size(work),
        others=UnusedFolders(len(folders), sum(map(_size, folders))),
    )


def unnamed_runs(plan: Plan) -> UnusedFolders:
    """Return the work folders of runs that are not in params.yaml."""
    folders = [path for path in _folders(plan.layout.work / "runs") if path.name not in plan.runs]
    return UnusedFolders(len(folders), sum(map(_size, folders)))


def _unfinished(has_begun: bool, holder: LockOwner | None, has_others: bool) -> Stage:
    if holder:
        return "training" if has_begun else "starting"
    if has_begun:
        return "interrupted"
    return "out of date" if has_others else "nothing done"


def _iteration(
    stage: Stage, records: list[dict[str, Any]], kept: Checkpoints, summary: dict[str, Any]
) -> int:
    if summary:
        return int(summary["iterations"])
    newest = max(kept.iterations, default=0)
    # Without a running process, iterations after the newest checkpoint are lost.
    return max(newest, records[-1]["iteration"]) if stage == "training" and records else newest


def _score(record: dict[str, Any]) -> float:
    return float(record["mIoU"])


def _is_evaluated(plan: Plan, name: str, summary: dict[str, Any], work: Path) -> bool:
    weights = summary["weights_sha256"]
    key = plan.evaluate_key(name, weights, summary["manifest_digest"])
    if (work / f"evaluate-{key}").is_dir():
        return True
    declared = read_json(plan.layout.evaluate_results(name) / "metrics.json")
    # Without a work folder, only the weights can be compared.
    return not work.is_dir() and declared.get("weights_sha256") == weights


def _seconds_left(
    plan: Plan, name: str, records: list[dict[str, Any]], holder: LockOwner | None
) -> float | None:
    """Return the remaining time at the rate of the running process, validations included."""
    since = holder.since if holder else 0.0
    steps = [record for record in records if record["kind"] == "train" and record["time"] >= since]
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


def _folders(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir())
    except OSError:
        return []


def _size(folder: Path) -> int:
    return sum(_file_size(path) for path in folder.rglob("*"))


def _file_size(path: Path) -> int:
    """Return a file's size; 0 if it disappears meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0

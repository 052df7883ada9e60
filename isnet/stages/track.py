"""Feeding MLflow after a stage, and by `isnet track sync`."""

from __future__ import annotations

import json
import re
import warnings

from isnet.console import Console
from isnet.plan import Plan
from isnet.tracking.journal import Journal
from isnet.tracking.mlflow_sink import RunRecord, send

__all__ = ["track"]


def track(plan: Plan, name: str, console: Console) -> bool:
    """Send what is on disk of a run to MLflow; say what went wrong and go on if it cannot be
    reached.
    """
    record = _record(plan, name)
    if record is None:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            send(record, plan.params.tracking, plan.layout.home)
    except Exception as error:
        reason = re.sub(r"://[^/@\s]+@", "://", " ".join(str(error).split()))[:200]  # no passwords
        console.line(
            f"MLflow could not be fed ({type(error).__name__}: {reason}); "
            f"nothing is lost: `isnet track sync` sends it later"
        )
        return False
    return True


def _record(plan: Plan, name: str) -> RunRecord | None:
    layout = plan.layout
    trained, evaluated = layout.train_results(name), layout.evaluate_results(name)
    if not (trained / "train.json").is_file():
        return None
    summary = json.loads((trained / "train.json").read_text())
    metrics_file = evaluated / "metrics.json"
    metrics = json.loads(metrics_file.read_text()) if metrics_file.is_file() else None
    if metrics and metrics["weights_sha256"] != summary["weights_sha256"]:
        metrics = None  # of earlier weights, which the conductor has not replaced yet
    work = layout.run_work(name, summary["key"])
    artifacts = [trained / "config.py", layout.train_slice(name)]
    if metrics:
        artifacts += [
            evaluated / "metrics.json",
            evaluated / "per_class.csv",
            evaluated / "confusion.csv",
            evaluated / "overlays",
            layout.reports / "runs" / f"{name}.html",
        ]
    return RunRecord(
        name=name,
        key=summary["key"],
        settings=plan.run(name).settings,
        summary=summary,
        metrics=metrics,
        journal=Journal(work / "journal.jsonl"),
        artifacts=tuple(path for path in artifacts if path.exists()),
        work=work,
    )

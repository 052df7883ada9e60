"""MLflow, fed from what is on disk. It may be down: that costs a warning, never a training."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from isnet.files import digest_of, sha256_of, write_json
from isnet.params import Tracking
from isnet.tracking.journal import Journal

__all__ = ["RunRecord", "send", "store_uri"]

_METRICS_PER_CALL = 1000


@dataclass(frozen=True)
class RunRecord:
    """All that is on disk of one run."""

    name: str
    key: str
    settings: dict[str, Any]
    """Flattened; they become MLflow's parameters."""
    summary: dict[str, Any]
    """`train.json`."""
    metrics: dict[str, Any] | None
    """`metrics.json`, once the run is evaluated."""
    journal: Journal
    artifacts: tuple[Path, ...]
    """Files and folders to keep with the run."""
    work: Path
    """Private folder of the run: remembers what was sent where."""


def store_uri(tracking: Tracking, home: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or `tracking.uri` with a relative sqlite file put in `home`."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or tracking.uri
    match = re.fullmatch(r"sqlite:///([^/].*)", uri)
    return f"sqlite:///{home / match[1]}" if match else uri


def send(record: RunRecord, tracking: Tracking, home: Path) -> str | None:
    """Bring a run to MLflow; what is there already is not sent twice. Return the MLflow run id.

    The run is found by the tag `isnet.key`: a repeated or resumed run stays one MLflow run. With
    sqlite one process writes at a time.
    """
    uri = store_uri(tracking, home)
    sent_file = record.work / "mlflow.json"
    content = _digest(record, uri, tracking.experiment)
    if sent_file.is_file():
        sent = json.loads(sent_file.read_text())
        if sent["content"] == content:
            return str(sent["run_id"])
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".mlflow.lock"):
        run_id = _send_all(record, uri, tracking.experiment, home)
    write_json(sent_file, {"run_id": run_id, "content": content})
    return run_id


def _digest(record: RunRecord, uri: str, experiment: str) -> str:
    journal = record.journal.path
    return digest_of(
        [
            uri,
            experiment,
            record.settings,
            record.summary,
            record.metrics,
            sha256_of(journal) if journal.is_file() else None,
            [(str(file), sha256_of(file)) for file in _files(record)],
        ]
    )


def _files(record: RunRecord) -> Iterator[Path]:
    for path in record.artifacts:
        yield from sorted(p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file())


def _send_all(record: RunRecord, uri: str, experiment: str, home: Path) -> str:
    # MLflow's own patience with a dead server is a quarter of an hour for each call.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    # After the import, which configures them: the first use of a database is told in two
    # lines otherwise.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    client = MlflowClient(tracking_uri=uri)
    experiment_id = _experiment(client, experiment, uri, home)
    run_id = _run(client, experiment_id, record)
    metrics = [Metric(key, value, time, step) for key, value, time, step in _metrics(record)]
    for start in range(0, len(metrics), _METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS_PER_CALL])
    for path in record.artifacts:
        if path.is_dir():
            client.log_artifacts(run_id, str(path), path.name)
        elif path.is_file():
            client.log_artifact(run_id, str(path))
    client.set_terminated(run_id, "FINISHED", _milliseconds(record.summary["finished"]))
    return run_id


def _experiment(client: Any, name: str, uri: str, home: Path) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Beside the database: a folder ./mlruns would make a bare `mlflow ui` take the refused
    # file store.
    local = (home / "mlartifacts" / name).as_uri() if uri.startswith("sqlite:") else None
    return str(client.create_experiment(name, artifact_location=local))


def _run(client: Any, experiment_id: str, record: RunRecord) -> str:
    found = client.search_runs([experiment_id], f"tags.`isnet.key` = '{record.key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    run = client.create_run(
        experiment_id,
        start_time=_milliseconds(record.summary["started"]),
        run_name=record.name,
        tags=_tags(record),
    )
    from mlflow.entities import Param

    params = [Param(key, str(value)[:6000]) for key, value in record.settings.items()]
    client.log_batch(run.info.run_id, params=params)
    return str(run.info.run_id)


def _tags(record: RunRecord) -> dict[str, str]:
    environment = record.summary["environment"]
    tags = {
        "isnet.key": record.key,
        "data.manifest": record.summary["manifest_digest"],
        "hardware": environment["hardware"],
        "gpus": ", ".join(environment["gpus"]) or "none",
        "git.commit": str(environment["git_commit"]),
        "git.dirty": str(environment["git_dirty"]),
        "mlflow.source.name": "isnet",
        "mlflow.source.git.commit": str(environment["git_commit"]),
        "mlflow.note.content": f"{record.settings['method']} on {record.settings['dataset']}",
    }
    return tags | {f"package.{name}": version for name, version in environment["packages"].items()}


def _metrics(record: RunRecord) -> Iterator[tuple[str, float, int, int]]:
    """Yield (key, value, milliseconds, iteration); the same record gives the same rows, which
    MLflow keeps once.
    """
    prefix = {"train": "train", "validation": "val"}
    for row in record.journal.records():
        time = int(row["time"] * 1000)
        for key, value in row.items():
            if key not in ("kind", "time", "iteration"):
                yield f"{prefix[row['kind']]}/{key}", float(value), time, row["iteration"]
    time, step = _milliseconds(record.summary["finished"]), record.summary["iterations"]
    final = {"train_seconds": record.summary["seconds"]}
    if record.metrics:
        for name, suffix in (("single_scale", ""), ("multi_scale_flip", "_ms_flip")):
            scores = record.metrics[name] or {}
            final |= {f"{k}{suffix}": scores[k] for k in ("mIoU", "mAcc", "aAcc") if k in scores}
        for key in ("parameters", "flops", "images_per_second", "peak_memory_gb"):
            final[key] = record.metrics[key]
    for key, value in final.items():
        if value is not None:
            yield f"final/{key}", float(value), time, step


def _milliseconds(utc: str) -> int:
    return int(datetime.fromisoformat(utc).timestamp() * 1000)

"""Brings runs to MLflow: what it does not have yet, in the order of the journal."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from filelock import FileLock

from isnet.io.atomic_files import write_json
from isnet.tracking.journal_tail import JournalTail
from isnet.tracking.mlflow.compared_settings import tags_of
from isnet.tracking.mlflow.curve_thinning import rows_of, thinned
from isnet.tracking.mlflow.failure_reason import reason_of
from isnet.tracking.mlflow.logged_model import logged_model
from isnet.tracking.mlflow.mlflow_run import MlflowRun, milliseconds
from isnet.tracking.mlflow.model_folder import is_self_describing
from isnet.tracking.mlflow.model_registry import is_without_registry, register, registered_name
from isnet.tracking.mlflow.parent_run import PARENT, ParentRun
from isnet.tracking.mlflow.run_record import RunRecord, Store
from isnet.tracking.store_address import is_database_file

__all__ = ["Sink", "is_sent", "send"]

_LOCK_SECONDS = 60.0
_PACKAGES = ("mlflow", "alembic", "urllib3")


def _silent() -> None:
    """Nobody hears of an answer."""


def is_sent(record: RunRecord, store: Store) -> bool:
    """Whether all of a run that has ended was sent there before; asks nobody."""
    try:
        sent = json.loads((record.work / "mlflow.json").read_text())
        return record.state != "running" and bool(sent["content"] == record.digest(store))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def send(record: RunRecord, store: Store, beat: Callable[[], None] = _silent) -> str:
    """Bring all of a run to MLflow, where it was not done before; return what is to be said.

    Into a database file one process writes at a time.

    Args:
        record: the run.
        store: where to.
        beat: called after each answer.
    """
    if not is_sent(record, store):
        with _one_writer(store):
            return Sink(record, store, beat).send_all()
    return ""


@contextlib.contextmanager
def _one_writer(store: Store) -> Iterator[None]:
    if not is_database_file(store.uri):
        yield
        return
    store.home.mkdir(parents=True, exist_ok=True)
    with FileLock(store.home / ".mlflow.lock", timeout=_LOCK_SECONDS):
        yield


class Sink:
    """Feeds one run as its journal grows; a failure is mended by making another one.

    Args:
        record: the run.
        store: where to.
        beat: called after each answer.
        environment: of the process that trains, for a run that is not finished.
    """

    def __init__(
        self,
        record: RunRecord,
        store: Store,
        beat: Callable[[], None] = _silent,
        environment: dict[str, Any] | None = None,
    ) -> None:
        client = _client(store.uri)
        beat()
        self.record, self.store, self._client, self._beat = record, store, client, beat
        self._experiment = _experiment(client, store)
        self.run = MlflowRun.of(client, self._experiment, record, beat)
        self._parent = self._parent_of(record)
        self.run.set_tags(tags_of(record) | (_tags_of(environment) if environment else {}))
        if record.state == "running":
            self.run.set_state("running")
        self._tails = (JournalTail(record.journal), JournalTail(record.system))

    def _parent_of(self, record: RunRecord) -> ParentRun | None:
        if not record.sweep:
            return None
        parent = ParentRun.of(self._client, self._experiment, record, self._beat)
        self.run.set_tags({PARENT: parent.id})
        return parent

    def send_new(self) -> int:
        """Send what was added to the run's journals; return the number of points."""
        found = 0
        for tail in self._tails:
            records = thinned(tail.new_records(), self.record.iterations, self.run.last)
            found += self.run.add(map(rows_of, records))
        return found

    def send_all(self, record: RunRecord | None = None) -> str:
        """Send all that there is of the run as `record` has it now, and remember that; return what
        is to be said, if anything.
        """
        record = self.record = record or self.record
        content = record.digest(self.store)
        self.send_new()
        ended = None
        if record.summary:
            self.run.set_final(_finals(record), int(record.summary["iterations"]))
            self.run.set_tags(_tags_of(record.summary["environment"]))
            ended = milliseconds(record.summary["finished"])
        self.run.set_dataset(str(record.settings["dataset"]), record.manifest_digest)
        self.run.add_artifacts(record)
        self.run.set_state(record.state, ended)
        if self._parent:
            self._parent.summarise()
        note = self._send_model(record) if record.weights and record.metrics else ""
        if record.state != "running":
            write_json(record.work / "mlflow.json", {"run_id": self.run.id, "content": content})
        return note

    def _send_model(self, record: RunRecord) -> str:
        """Bring the weights as a model, and into the registry where there is one."""
        assert record.weights is not None
        if not is_self_describing(record.weights):
            return (
                f"the weights of {record.name} are of an earlier isnet; MLflow has no model of it"
            )
        client, beat = self._client, self._beat
        try:
            made = logged_model(client, self._experiment, self.run.id, record, beat)
            name = registered_name(self.store.experiment, str(record.settings["dataset"]))
            register(client, name, made, self.run.id, record, beat)
        except Exception as error:
            if not is_without_registry(error):
                raise
            return f"it keeps no models ({reason_of(error)})"
        return ""


def _client(uri: str) -> Any:
    # MLflow's maker learns nothing of it; its thread has also made requests fail that came early.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient
    from mlflow.store.db import utils

    # Else a database that is down is asked ten times before it counts as down.
    utils.MAX_RETRY_COUNT = 1
    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
    # After the import, which configures them: the first use of a database is told in two lines
    # otherwise, and failures are told here.
    for name in _PACKAGES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient(tracking_uri=uri)


def _experiment(client: Any, store: Store) -> str:
    found = client.get_experiment_by_name(store.experiment)
    if found is not None:
        return str(found.experiment_id)
    # Beside a database: a folder ./mlruns would make a bare `mlflow ui` take the refused
    # file store. A server has a place of its own.
    has_server = store.uri.startswith(("http", "databricks"))
    place = None if has_server else (store.home / "mlartifacts" / store.experiment).as_uri()
    try:
        return str(client.create_experiment(store.experiment, artifact_location=place))
    except Exception:
        found = client.get_experiment_by_name(store.experiment)  # somebody was quicker
        if found is None:
            raise
        return str(found.experiment_id)


def _tags_of(environment: dict[str, Any]) -> dict[str, str]:
    tags = {
        "hardware": environment["hardware"],
        "gpus": ", ".join(environment["gpus"]) or "none",
        "git.commit": str(environment["git_commit"]),
        "git.dirty": str(environment["git_dirty"]),
        "mlflow.source.git.commit": str(environment["git_commit"]),
    }
    return tags | {f"package.{name}": version for name, version in environment["packages"].items()}


_SCORES = ("mIoU", "mAcc", "aAcc", "fwIoU", "boundary_mIoU", "ece")
_COSTS = {
    "parameters": ("parameters_million", 1e6),
    "flops": ("gflops", 1e9),
    "images_per_second": ("images_per_second", 1),
    "peak_memory_gb": ("peak_memory_gb", 1),
}
"""Of metrics.json: the name in MLflow, with its unit, and what it is divided by."""


def _finals(record: RunRecord) -> dict[str, float]:
    assert record.summary is not None
    final = {"train_seconds": record.summary["seconds"]}
    if record.metrics:
        for name, suffix in (("single_scale", ""), ("multi_scale_flip", "_ms_flip")):
            scores = record.metrics[name] or {}
            final |= {f"{key}{suffix}": scores[key] for key in _SCORES if key in scores}
        for key, (name, unit) in _COSTS.items():
            if (value := record.metrics.get(key)) is not None:
                final[name] = value / unit
    return {f"final/{key}": float(value) for key, value in final.items() if value is not None}

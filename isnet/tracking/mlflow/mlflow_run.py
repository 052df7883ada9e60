"""One run in MLflow, found again by whoever feeds it, and never there twice."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from isnet.tracking.mlflow.curve_thinning import Row, kind_of
from isnet.tracking.mlflow.idempotent_writes import CREATED, lock_on, make_once, oldest_first
from isnet.tracking.mlflow.model_registry import is_without_registry, unregister
from isnet.tracking.mlflow.run_record import RunRecord, State
from isnet.tracking.store_address import scrubbed

__all__ = ["MlflowRun", "milliseconds"]

_KEY = "isnet.key"
_METRICS_PER_CALL = 1000
_PARAMS_PER_CALL = 100
_STATUS: Mapping[State, str] = {
    "running": "RUNNING",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "finished": "FINISHED",
}


class MlflowRun:
    """A run of MLflow, and how much it has of ours.

    Args:
        client: an MlflowClient.
        run: what it answered.
        beat: called after each answer.
    """

    def __init__(self, client: Any, run: Any, beat: Any) -> None:
        self.client = client
        self.id = str(run.info.run_id)
        self.status = str(run.info.status)
        self.tags: dict[str, str] = dict(run.data.tags)
        self.values: dict[str, float] = dict(run.data.metrics)
        self.last: dict[str, int] = {}
        """The last step that is there, of each kind of record: a batch holds whole records and is
        there as a whole, or not."""
        for metric in run.data.to_proto().metrics:
            kind = kind_of(metric.key)
            self.last[kind] = max(self.last.get(kind, -1), metric.step)
        self._beat = beat

    @classmethod
    def of(cls, client: Any, experiment_id: str, record: RunRecord, beat: Any) -> MlflowRun:
        """Find the run by its key, or create it.

        On one machine a file lock keeps two feeders from creating two; between machines the older
        one stays, and whoever sees the other one removes it: who made it may have looked before the
        older one arrived.
        """
        with lock_on(record.work):
            found = _search(client, experiment_id, record.key)
            if not found:
                created = _create(client, experiment_id, record)
                found = _search(client, experiment_id, record.key)
            for double in found[1:]:
                _remove(client, experiment_id, str(double.info.run_id))
        # Read again: what a search answers may be cut.
        answered = client.get_run(found[0].info.run_id if found else created)
        _add_params(client, answered, record)
        return cls(client, answered, beat)

    def add(self, rows: Iterable[list[Row]]) -> int:
        """Send records, each with its rows, in order; return the number of points."""
        sent, batch = 0, list[Row]()
        for of_record in rows:
            if len(batch) + len(of_record) > _METRICS_PER_CALL:
                sent += self._send(batch)
                batch = []
            batch += of_record
        return sent + self._send(batch)

    def _send(self, batch: list[Row]) -> int:
        from mlflow.entities import Metric

        if batch:
            self.client.log_batch(self.id, metrics=[Metric(*row) for row in batch])
            self._beat()
            for key, _, _, step in batch:
                kind = kind_of(key)
                self.last[kind] = max(self.last.get(kind, -1), step)
        return len(batch)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Add or change tags."""
        from mlflow.entities import RunTag

        changed = {key: value for key, value in tags.items() if self.tags.get(key) != value}
        if changed:
            batch = [RunTag(key, value[:5000]) for key, value in changed.items()]
            self.client.log_batch(self.id, tags=batch)
            self.tags |= changed
            self._beat()

    def set_final(self, values: Mapping[str, float], step: int) -> None:
        """Set numbers that a run has once; those that are there already stay as they are."""
        now = int(time.time() * 1000)
        changed = {key: value for key, value in values.items() if self.values.get(key) != value}
        self.add([[(key, value, now, step) for key, value in changed.items()]])
        self.values |= changed

    def set_state(self, state: State, ended: int | None = None) -> None:
        """Show whether it runs; `ended` is in Unix milliseconds."""
        status = _STATUS[state]
        if status == self.status:
            return
        if state == "running":
            self.client.update_run(self.id, status=status)
        else:
            self.client.set_terminated(self.id, status, ended)
        self.status = status
        self._beat()

    def set_dataset(self, name: str, digest: str) -> None:
        """Say what it was trained on."""
        from mlflow.entities import Dataset, DatasetInput

        used = Dataset(name, digest[:12], source_type="isnet", source=digest)

        def is_there() -> bool:
            inputs = self.client.get_run(self.id).inputs.dataset_inputs
            return used.to_dictionary() in [there.dataset.to_dictionary() for there in inputs]

        make_once(is_there, lambda: self.client.log_inputs(self.id, datasets=[DatasetInput(used)]))
        self._beat()

    def add_artifacts(self, record: RunRecord) -> None:
        """Send the files that are kept with a run."""
        self.client.log_dict(self.id, record.settings, "settings.json")
        for name, file in record.files():
            folder = name.rpartition("/")[0]
            self.client.log_artifact(self.id, str(file), folder or None)
            self._beat()


def _search(client: Any, experiment_id: str, key: str) -> list[Any]:
    """Return the runs of a key, the oldest first; all feeders agree on the order."""
    return oldest_first(client.search_runs([experiment_id], f"tags.`{_KEY}` = '{key}'"))


def _create(client: Any, experiment_id: str, record: RunRecord) -> str:
    summary = record.summary or {}
    run = client.create_run(
        experiment_id,
        start_time=milliseconds(summary["started"]) if summary else None,
        run_name=record.name,
        tags={
            _KEY: record.key,
            CREATED: str(time.time_ns()),
            "data.manifest": record.manifest_digest,
            "mlflow.source.name": "isnet",
            "mlflow.note.content": f"{record.settings['method']} on {record.settings['dataset']}",
        },
    )
    return str(run.info.run_id)


def _remove(client: Any, experiment_id: str, run_id: str) -> None:
    """Remove a run, with the models that were made for it."""
    try:
        unregister(client, run_id)
        for model in client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'"):
            client.delete_logged_model(model.model_id)
    except Exception as error:
        if not is_without_registry(error):
            raise
    client.delete_run(run_id)


def _add_params(client: Any, run: Any, record: RunRecord) -> None:
    """Add those that are missing: MLflow refuses to change one, and who created the run may have
    been cut off before.
    """
    from mlflow.entities import Param

    there = run.data.params
    params = [
        Param(key, scrubbed(value)[:6000])
        for key, value in record.parameters.items()
        if key not in there
    ]
    for start in range(0, len(params), _PARAMS_PER_CALL):
        client.log_batch(run.info.run_id, params=params[start : start + _PARAMS_PER_CALL])


def milliseconds(utc: str) -> int:
    """Return Unix milliseconds of an ISO time."""
    return int(datetime.fromisoformat(utc).timestamp() * 1000)

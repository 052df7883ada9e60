"""Finds, creates and fills the MLflow run of a training and the parent run of a sweep.

Runs are found by a tag. All writes are idempotent.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from isnet.tracking.curve_thinning import Row, kind_of
from isnet.tracking.mlflow.idempotent_writes import (
    create_once,
    find_or_create_run,
    lock_creation,
    search_runs,
    set_run_tag,
)
from isnet.tracking.redaction import redact
from isnet.tracking.tracked_run import State, TrackedRun

KEY = "isnet.key"
PARENT = "mlflow.parentRunId"
_SUMMARISED = ("final/mIoU", "final/mIoU_ms_flip", "final/images_per_second")
_METRICS_PER_CALL = 1000
_PARAMS_PER_CALL = 100
_MAX_PARAM, _MAX_TAG = 6000, 5000  # characters
_STATUS: Mapping[State, str] = {
    "running": "RUNNING",
    "interrupted": "KILLED",
    "failed": "FAILED",
    "finished": "FINISHED",
}


class MlflowRun:
    """A run in MLflow, and the last step that MLflow has received of each kind of record.

    `run` is MLflow's entity of the run.
    """

    def __init__(self, client: Any, run: Any) -> None:
        self.client = client
        self.id = str(run.info.run_id)
        self.status = str(run.info.status)
        self.tags: dict[str, str] = dict(run.data.tags)
        self.values: dict[str, float] = dict(run.data.metrics)
        self.last: dict[str, int] = {}
        """Last step that MLflow has received, by kind of record.

        A batch consists of whole records and arrives as a whole or not at all.
        """
        for metric in run.data.to_proto().metrics:
            self._reach(metric.key, metric.step)

    @classmethod
    def find_or_create(cls, client: Any, experiment_id: str, record: TrackedRun) -> MlflowRun:
        """Find the MLflow run of a training by its key, or create the run.

        If several hosts created one, the oldest is used.
        """
        tags = {"data.manifest": record.manifest_digest, "mlflow.note.content": record.about}
        started = milliseconds(record.summary["started"]) if record.summary else None
        with lock_creation(record.work):
            new = {"run_name": record.name, "start_time": started}
            run_id = find_or_create_run(client, experiment_id, (KEY, record.key), tags, **new)
        run = client.get_run(run_id)  # search results may be truncated
        _add_params(client, run, record)
        return cls(client, run)

    def require_oldest(self, experiment_id: str, record: TrackedRun) -> None:
        """Raise RuntimeError if another host created an older MLflow run of the same training.

        When the upload is tried again, it finds and uses the older run.
        """
        found = search_runs(self.client, experiment_id, KEY, record.key)
        if found and str(found[0].info.run_id) != self.id:
            raise RuntimeError("another host created an older run of this training")

    def _reach(self, key: str, step: int) -> None:
        kind = kind_of(key)
        self.last[kind] = max(self.last.get(kind, -1), step)

    def add(self, rows: Iterable[list[Row]]) -> None:
        """Send the metric rows of records to MLflow in order, in batches of whole records."""
        batch: list[Row] = []
        for rows_of_record in rows:
            if len(batch) + len(rows_of_record) > _METRICS_PER_CALL:
                self._send(batch)
                batch = []
            batch += rows_of_record
        self._send(batch)

    def _send(self, batch: list[Row]) -> None:
        from mlflow.entities import Metric

        if batch:
            self.client.log_batch(self.id, metrics=[Metric(*row) for row in batch])
            for key, _, _, step in batch:
                self._reach(key, step)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the MLflow run. Unchanged tags are not sent."""
        from mlflow.entities import RunTag

        changed = {key: value for key, value in tags.items() if self.tags.get(key) != value}
        if changed:
            batch = [RunTag(key, value[:_MAX_TAG]) for key, value in changed.items()]
            self.client.log_batch(self.id, tags=batch)
            self.tags |= changed

    def set_final(self, values: Mapping[str, float], step: int) -> None:
        """Set metrics that a run has once, such as final scores. Unchanged values are not sent."""
        now = int(time.time() * 1000)
        changed = {key: value for key, value in values.items() if self.values.get(key) != value}
        self.add([[(key, value, now, step) for key, value in changed.items()]])

    def set_state(self, state: State, ended: int | None = None) -> None:
        """Set the status of the MLflow run. `ended` is the end time in Unix milliseconds."""
        status = _STATUS[state]
        if status == self.status:
            return
        if state == "running":
            self.client.update_run(self.id, status=status)
        else:
            self.client.set_terminated(self.id, status, ended)
        self.status = status

    def set_dataset(self, name: str, digest: str) -> None:
        """Log the training data set as an input of the MLflow run, unless it is logged already."""
        from mlflow.entities import Dataset, DatasetInput

        used = Dataset(name, digest[:12], source_type="isnet", source=digest)

        def exists() -> bool:
            inputs = self.client.get_run(self.id).inputs.dataset_inputs
            return used.to_dictionary() in [there.dataset.to_dictionary() for there in inputs]

        create_once(exists, lambda: self.client.log_inputs(self.id, datasets=[DatasetInput(used)]))

    def add_artifacts(self, record: TrackedRun) -> None:
        """Upload the settings and the artifacts of `record` to the MLflow run."""
        self.client.log_dict(self.id, record.settings, "settings.json")
        for name, file in record.files():
            folder = name.rpartition("/")[0]
            self.client.log_artifact(self.id, str(file), folder or None)


def _add_params(client: Any, run: Any, record: TrackedRun) -> None:
    """Log the parameters that the MLflow run lacks. MLflow refuses to change existing ones."""
    from mlflow.entities import Param

    params = [
        Param(key, redact(value)[:_MAX_PARAM])
        for key, value in record.parameters.items()
        if key not in run.data.params
    ]
    for start in range(0, len(params), _PARAMS_PER_CALL):
        client.log_batch(run.info.run_id, params=params[start : start + _PARAMS_PER_CALL])


def milliseconds(utc: str) -> int:
    """Convert an ISO 8601 time to Unix milliseconds."""
    return int(datetime.fromisoformat(utc).timestamp() * 1000)


def find_or_create_parent(client: Any, experiment_id: str, record: TrackedRun) -> str:
    """Find or create the MLflow run that is the parent of a run's sweep, and return its id."""
    sweep = str(record.sweep)
    about = (
        "Mean and standard deviation over the finished runs of "
        f"`isnet sweep {sweep}`, which are the children of this run."
    )
    tags = {"dataset": str(record.settings["dataset"]), "mlflow.note.content": about}
    runs_folder = record.work.parent.parent  # one lock for all runs of the sweep
    with lock_creation(runs_folder, f"sweep-{sweep}"):
        return find_or_create_run(
            client, experiment_id, ("isnet.sweep", sweep), tags, run_name=f"{sweep} (sweep)"
        )


def summarise_sweep(client: Any, experiment_id: str, sweep: str, parent_id: str) -> None:
    """Update the mean and standard deviation of a sweep's scores in its parent run, and the status.

    The scores are those of the finished runs. Each run calls this after its own scores are stored,
    so that the last call sees all scores. The number of runs is the step of the metrics, so that a
    concurrent summary of fewer runs is never shown last.
    """
    trainings = [
        run for run in search_runs(client, experiment_id, "sweep", sweep) if KEY in run.data.tags
    ]
    children = {run.data.tags[KEY]: run for run in reversed(trainings)}.values()  # the oldest each
    for run in children:
        # Another host may have created and used a younger parent.
        if run.data.tags.get(PARENT) != parent_id:
            set_run_tag(client, run.info.run_id, PARENT, parent_id)
    finished = [run for run in children if _SUMMARISED[0] in run.data.metrics]
    values = {"sweep/runs": float(len(finished))}
    for key in _SUMMARISED:
        name = key.partition("/")[2]
        scores = [run.data.metrics[key] for run in finished if key in run.data.metrics]
        if scores:
            values[f"sweep/{name}_mean"] = statistics.fmean(scores)
        if len(scores) > 1:
            values[f"sweep/{name}_std"] = statistics.stdev(scores)
    parent = MlflowRun(client, client.get_run(parent_id))
    parent.set_final(values, len(finished))
    is_running = any(run.info.status == "RUNNING" for run in children)
    parent.set_state("running" if is_running else "finished")

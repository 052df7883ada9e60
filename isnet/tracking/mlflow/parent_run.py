"""The parent run of a sweep: mean and standard deviation over the sweep's finished runs."""

from __future__ import annotations

import statistics
import time
from typing import Any

from isnet.tracking.mlflow.idempotent_writes import (
    CREATED,
    lock_creation,
    oldest_first,
    search_all,
    use_oldest,
)
from isnet.tracking.mlflow.mlflow_run import KEY
from isnet.tracking.mlflow.run_record import RunRecord

PARENT = "mlflow.parentRunId"
_SWEEP = "isnet.sweep"
_SUMMARISED = ("final/mIoU", "final/mIoU_ms_flip", "final/images_per_second")


class ParentRun:
    """The MLflow run that is the parent of a sweep's runs.

    Args:
        client: an MlflowClient.
        experiment_id: of the runs.
        sweep: its name.
        run_id: of the parent.
    """

    def __init__(self, client: Any, experiment_id: str, sweep: str, run_id: str) -> None:
        self.client, self.id = client, run_id
        self._experiment_id, self._sweep = experiment_id, sweep

    @classmethod
    def find_or_create(cls, client: Any, experiment_id: str, record: RunRecord) -> ParentRun:
        """Find the parent of a run's sweep by its tag, or create it; the oldest if there are
        several.
        """
        assert record.sweep is not None
        filtered = f"tags.`{_SWEEP}` = '{record.sweep}'"
        runs_folder = record.work.parent.parent  # one lock for all runs of the sweep
        with lock_creation(runs_folder, f"sweep-{record.sweep}"):
            found = client.search_runs([experiment_id], filtered)
            if not found:
                created = _create(client, experiment_id, record)
                found = client.search_runs([experiment_id], filtered) or [created]
        return cls(client, experiment_id, record.sweep, use_oldest(client, found))

    def summarise(self) -> None:
        """Update mean and standard deviation over the finished runs, and the status.

        Each run calls this after its own scores are stored, so that the last call sees all. The
        number of runs is the step: a concurrent summary of fewer runs is never shown last.
        """
        from mlflow.entities import Metric

        children = self._children()
        values = _summary(children)
        parent = self.client.get_run(self.id)
        now, step = int(time.time() * 1000), int(values["sweep/runs"])
        metrics = [
            Metric(key, value, now, step)
            for key, value in values.items()
            if parent.data.metrics.get(key) != value
        ]
        if metrics:
            self.client.log_batch(self.id, metrics=metrics)
        running = any(child.info.status == "RUNNING" for child in children)
        status = "RUNNING" if running else "FINISHED"
        if parent.info.status != status:
            self.client.update_run(self.id, status=status)

    def _children(self) -> list[Any]:
        """Return the runs of the sweep, the oldest of each training, and set their parent: another
        host may have created and used a younger parent.
        """
        filtered = f"tags.`sweep` = '{self._sweep}'"
        found = search_all(
            lambda token: self.client.search_runs([self._experiment_id], filtered, page_token=token)
        )
        trainings = [run for run in found if KEY in run.data.tags]
        oldest = {run.data.tags[KEY]: run for run in reversed(oldest_first(trainings))}
        for run in oldest.values():
            if run.data.tags.get(PARENT) != self.id:
                self.client.set_tag(run.info.run_id, PARENT, self.id)
        return list(oldest.values())


def _create(client: Any, experiment_id: str, record: RunRecord) -> Any:
    return client.create_run(
        experiment_id,
        run_name=f"{record.sweep} (sweep)",
        tags={
            _SWEEP: str(record.sweep),
            CREATED: str(time.time_ns()),
            "dataset": str(record.settings["dataset"]),
            "mlflow.source.name": "isnet",
            "mlflow.note.content": "Mean and standard deviation over the finished runs of "
            f"`isnet sweep {record.sweep}`, which are the children of this run.",
        },
    )


def _summary(children: list[Any]) -> dict[str, float]:
    """Return the number of evaluated runs, and the mean and (from two runs on) the sample standard
    deviation of each score.
    """
    finished = [run for run in children if _SUMMARISED[0] in run.data.metrics]
    values = {"sweep/runs": float(len(finished))}
    for key in _SUMMARISED:
        name = key.partition("/")[2]
        scores = [run.data.metrics[key] for run in finished if key in run.data.metrics]
        if scores:
            values[f"sweep/{name}_mean"] = statistics.fmean(scores)
        if len(scores) > 1:
            values[f"sweep/{name}_std"] = statistics.stdev(scores)
    return values

"""The parent run of a sweep: it holds what its finished runs have in common."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from isnet.tracking.mlflow.idempotent_writes import CREATED, all_pages, lock_on, oldest_first
from isnet.tracking.mlflow.run_record import RunRecord

__all__ = ["PARENT", "ParentRun"]

PARENT = "mlflow.parentRunId"
_SWEEP = "isnet.sweep"
_SUMMARISED = ("final/mIoU", "final/mIoU_ms_flip", "final/images_per_second")
_ROUNDS = 10


class ParentRun:
    """The run of MLflow under which the runs of one sweep stand.

    Args:
        client: an MlflowClient.
        experiment_id: where the runs are.
        run_id: the parent.
        beat: called after each answer.
    """

    def __init__(
        self, client: Any, experiment_id: str, run_id: str, beat: Callable[[], None]
    ) -> None:
        self.client, self.id = client, run_id
        self._experiment_id, self._beat = experiment_id, beat

    @classmethod
    def of(
        cls, client: Any, experiment_id: str, record: RunRecord, beat: Callable[[], None]
    ) -> ParentRun:
        """Find the parent of a run's sweep by its tag, or create it. Where two were created, the
        older one takes the other's runs.
        """
        assert record.sweep is not None
        folder = record.work.parent.parent  # one lock for all runs of the sweep
        with lock_on(folder, f"sweep-{record.sweep}"):
            if not (found := _search(client, experiment_id, record.sweep)):
                created = _create(client, experiment_id, record)
                found = _search(client, experiment_id, record.sweep) or [created]
            parent = cls(client, experiment_id, found[0], beat)
            for double in found[1:]:
                for child in parent._children(double):
                    client.set_tag(child.info.run_id, PARENT, parent.id)
                client.delete_run(double)
        beat()
        return parent

    def summarise(self) -> None:
        """Bring mean and spread over the finished runs up to date.

        Their number is the step, so that what was computed from fewer never shows last.
        """
        for _ in range(_ROUNDS):
            children = self._children(self.id)
            values = _summary(children)
            mine = self.client.get_run(self.id)
            there = mine.data.metrics
            changed = {key: value for key, value in values.items() if there.get(key) != value}
            if changed:
                self._send(changed, int(values["sweep/runs"]))
            running = any(child.info.status == "RUNNING" for child in children)
            status = "RUNNING" if running else "FINISHED"
            if mine.info.status != status:
                self.client.update_run(self.id, status=status)
            self._beat()
            if not changed:
                return  # looked at again after it was sent: nobody has ended in between

    def _send(self, values: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, step) for key, value in values.items()]
        self.client.log_batch(self.id, metrics=metrics)

    def _children(self, parent: str) -> list[Any]:
        of_parent = f"tags.`{PARENT}` = '{parent}'"
        return all_pages(
            lambda token: self.client.search_runs(
                [self._experiment_id], of_parent, page_token=token
            )
        )


def _search(client: Any, experiment_id: str, sweep: str) -> list[str]:
    """Return the parents of a sweep, the oldest first."""
    found = client.search_runs([experiment_id], f"tags.`{_SWEEP}` = '{sweep}'")
    parents = [run for run in found if PARENT not in run.data.tags]
    return [str(run.info.run_id) for run in oldest_first(parents)]


def _create(client: Any, experiment_id: str, record: RunRecord) -> str:
    run = client.create_run(
        experiment_id,
        run_name=f"{record.sweep} (sweep)",
        tags={
            _SWEEP: str(record.sweep),
            CREATED: str(time.time_ns()),
            "dataset": str(record.settings["dataset"]),
            "mlflow.source.name": "isnet",
            "mlflow.note.content": f"Mean and standard deviation over the finished runs that "
            f"`isnet sweep {record.sweep}` made; the runs are below.",
        },
    )
    return str(run.info.run_id)


def _summary(children: list[Any]) -> dict[str, float]:
    """Return the number of runs with scores, and of each score mean and standard deviation (of a
    sample: over n - 1), as soon as there are two.
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

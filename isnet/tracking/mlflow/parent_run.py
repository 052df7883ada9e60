"""The parent run of a sweep: mean and standard deviation over the sweep's finished runs."""

import statistics
from typing import Any

from isnet.tracking.mlflow.idempotent_writes import find_or_create_run, lock_creation, search_runs
from isnet.tracking.mlflow.mlflow_run import KEY, MlflowRun
from isnet.tracking.mlflow.run_record import RunRecord

PARENT = "mlflow.parentRunId"
_SUMMARISED = ("final/mIoU", "final/mIoU_ms_flip", "final/images_per_second")


def find_or_create_parent(client: Any, experiment_id: str, record: RunRecord) -> str:
    """Return the id of the MLflow run that is the parent of a run's sweep."""
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
    """Update the parent's mean and standard deviation over the finished runs, and its status.

    Each run calls this after its own scores are stored, so that the last call sees all. The number
    of runs is the step: a concurrent summary of fewer runs is never shown last.
    """
    trainings = [
        run for run in search_runs(client, experiment_id, "sweep", sweep) if KEY in run.data.tags
    ]
    children = {run.data.tags[KEY]: run for run in reversed(trainings)}.values()  # the oldest each
    for run in children:
        # Another host may have created and used a younger parent.
        if run.data.tags.get(PARENT) != parent_id:
            client.set_tag(run.info.run_id, PARENT, parent_id)
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

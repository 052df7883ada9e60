"""Uploads runs to MLflow. Only records that MLflow lacks are sent, in the order of the journal."""

import contextlib
import json
import time
from contextlib import AbstractContextManager
from typing import Any

from filelock import FileLock

from isnet.errors import UserError
from isnet.io.atomic_files import write_json
from isnet.tracking.curve_thinning import rows_of, thin_records
from isnet.tracking.failure_reason import failure_reason
from isnet.tracking.final_metrics import final_metrics
from isnet.tracking.journal import JournalReader
from isnet.tracking.mlflow.artifact_place import artifact_place, follow_checkout
from isnet.tracking.mlflow.idempotent_writes import create_once
from isnet.tracking.mlflow.mlflow_run import (
    PARENT,
    MlflowRun,
    find_or_create_parent,
    milliseconds,
    summarise_sweep,
)
from isnet.tracking.mlflow.model_folder import has_metadata
from isnet.tracking.mlflow.model_registry import (
    is_without_registry,
    log_model,
    register,
    registered_name,
)
from isnet.tracking.mlflow.tracking_client import TrackingClient, is_of_one_run
from isnet.tracking.store_address import is_database_file
from isnet.tracking.tracked_run import TrackedRun, TrackingStore
from isnet.tracking.upload_events import Report

_NOTE = "mlflow.json"  # note about the last upload, in the work folder of a run
_LOCK_SECONDS = 60.0
_PAUSE_SECONDS = 2.0


def is_uploaded(record: TrackedRun, store: TrackingStore) -> bool:
    """Return whether an ended run has been uploaded in its present state.

    The digest of the run is compared with the note that its last upload wrote to the work folder.
    """
    try:
        note = json.loads((record.work / _NOTE).read_text())
        return record.state != "running" and bool(note["content"] == record.digest(store))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def upload_runs(
    records: list[TrackedRun], store: TrackingStore, report: Report, *, attempts: int = 1
) -> None:
    """Upload runs to MLflow and report events, with at most `attempts` tries for each run.

    A run with a value that MLflow does not take is left out. After another failure the upload ends:
    if the store is down, each further run would take as long. Raises nothing.
    """
    reason, by_hand = None, False
    for record in records:
        try:
            with _database_lock(store):
                note = _upload(record, store, report, attempts)
            report({"uploaded": record.name, "note": note})
        except Exception as error:
            if reason is None:
                reason, by_hand = failure_reason(error), isinstance(error, UserError)
            if not is_of_one_run(error):
                break
    report({"done": 1, "reason": reason, "by_hand": by_hand})


def _upload(record: TrackedRun, store: TrackingStore, report: Report, attempts: int) -> str:
    if is_uploaded(record, store) and _is_there(record, store, report):
        return ""
    for _ in range(attempts - 1):
        with contextlib.suppress(Exception):
            return RunUpload(record, store, report).send_all()
        time.sleep(_PAUSE_SECONDS)
    return RunUpload(record, store, report).send_all()


def _is_there(record: TrackedRun, store: TrackingStore, report: Report) -> bool:
    """Return whether MLflow has the run of a note: stores and runs are also deleted."""
    from mlflow.exceptions import MlflowException

    client = TrackingClient(store.uri, lambda: report({"alive": 1}))
    try:
        run = client.get_run(json.loads((record.work / _NOTE).read_text())["run_id"])
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return bool(run.info.lifecycle_stage == "active")


def _database_lock(store: TrackingStore) -> AbstractContextManager[object]:
    if not is_database_file(store.uri):
        return contextlib.nullcontext()
    store.home.mkdir(parents=True, exist_ok=True)
    return FileLock(store.home / ".mlflow.lock", timeout=_LOCK_SECONDS)


class RunUpload:
    """Uploads one run to MLflow, either while it trains or after its end.

    After a failure, create a new `RunUpload`, which asks MLflow for what has arrived. `environment`
    describes the training process; it is given for a run that is not finished.
    """

    def __init__(
        self,
        record: TrackedRun,
        store: TrackingStore,
        report: Report,
        environment: dict[str, Any] | None = None,
    ) -> None:
        self.record, self.store = record, store
        self._report, self._environment = report, environment
        self._client = TrackingClient(store.uri, lambda: report({"alive": 1}))
        self._experiment, location = _find_or_create_experiment(self._client, store)
        if note := follow_checkout(location, store):
            report({"note": note})  # at once: the next try finds the addresses corrected
        self.run = MlflowRun.find_or_create(self._client, self._experiment, record)
        tags = record.tags | (_environment_tags(environment) if environment else {})
        if record.sweep:
            tags[PARENT] = find_or_create_parent(self._client, self._experiment, record)
        self.run.set_tags(tags)
        if record.state == "running":
            self.run.set_state("running")
        self._readers = (JournalReader(record.journal), JournalReader(record.system))

    def send_new(self) -> None:
        """Send records added to the training journal and the system samples since the last call."""
        for reader in self._readers:
            records = thin_records(reader.new_records(), self.record.iterations, self.run.last)
            self.run.add(map(rows_of, records))

    def send_all(self) -> str:
        """Upload everything that MLflow lacks of the run, and note the upload in the work folder.

        Returns a message for the user, empty if there is none.
        """
        record = self.record
        content = record.digest(self.store)
        self.send_new()
        ended = None
        if record.summary:
            self.run.set_final(final_metrics(record), int(record.summary.get("iterations") or 0))
            self.run.set_tags(_environment_tags(record.summary["environment"]))
            ended = milliseconds(record.summary["finished"])
        self.run.set_dataset(str(record.settings["dataset"]), record.manifest_digest)
        self.run.add_artifacts(record)
        self.run.set_state(record.state, ended)
        if record.sweep:
            parent = self.run.tags[PARENT]
            summarise_sweep(self._client, self._experiment, record.sweep, parent)
        note = self._send_model() if record.weights and record.metrics else ""
        if record.state != "running":
            self.run.require_oldest(self._experiment, record)
            write_json(record.work / _NOTE, {"run_id": self.run.id, "content": content})
        return note

    def finish(self, record: TrackedRun) -> None:
        """Upload all that is missing of the run, which has ended as `record` says."""
        if record is self.record:
            self.send_all()
        else:
            RunUpload(record, self.store, self._report, self._environment).send_all()

    def close(self) -> None:
        """Do nothing: no connection stays open."""

    def _send_model(self) -> str:
        """Upload the weights as a model, and register the model if the store has a registry.

        Returns a message for the user if a step is impossible, else an empty text.
        """
        record, client = self.record, self._client
        assert record.weights is not None
        if not has_metadata(record.weights):
            return f"the weights of {record.name} are of an earlier isnet and become no model"
        try:
            model = log_model(client, self._experiment, self.run.id, record)
            name = registered_name(self.store.experiment, str(record.settings["dataset"]))
            register(client, name, model, self.run.id, record)
        except Exception as error:
            if not is_without_registry(error):
                raise
            return f"it keeps no models ({failure_reason(error)})"
        return ""


def _find_or_create_experiment(client: Any, store: TrackingStore) -> tuple[str, str]:
    """Return the id and the artifact location of the experiment."""
    place = artifact_place(store)
    create_once(
        lambda: client.get_experiment_by_name(store.experiment) is not None,
        lambda: client.create_experiment(store.experiment, artifact_location=place),
    )
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment.lifecycle_stage != "active":
        raise UserError(
            f"the experiment {store.experiment} is in its trash",
            hint=f"Run `mlflow experiments restore --experiment-id {experiment.experiment_id}`",
        )
    return str(experiment.experiment_id), str(experiment.artifact_location)


def _environment_tags(environment: dict[str, Any]) -> dict[str, str]:
    tags = {
        "hardware": environment["hardware"],
        "gpus": ", ".join(environment["gpus"]) or "none",
        "git.commit": str(environment["git_commit"]),
        "git.dirty": str(environment["git_dirty"]),
        "mlflow.source.git.commit": str(environment["git_commit"]),
    }
    return tags | {f"package.{name}": version for name, version in environment["packages"].items()}

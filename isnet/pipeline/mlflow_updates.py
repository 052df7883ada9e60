"""Uploads runs to MLflow and other sinks: during a training, at the end of a stage, on demand."""

import contextlib
import logging
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from isnet.errors import UserError
from isnet.extras import is_installed
from isnet.pipeline.runs_to_track import current_record, training_record
from isnet.pipeline.sink_updates import AFTERWARDS, LATER, curve_sinks, ended_runs, update_sinks
from isnet.settings.plan import Plan
from isnet.tracking.mlflow.run_upload import is_uploaded, upload_runs
from isnet.tracking.mlflow.tracking_client import missing_mlflow
from isnet.tracking.redaction import redact
from isnet.tracking.store_address import in_cluster_job, is_database_file, store_uri
from isnet.tracking.tracked_run import TrackedRun, TrackingStore
from isnet.tracking.uploader_client import LIVE, STAGE_END, SYNC, Timeouts, Uploader

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_PASSES = 5.0
_SHORT_WAIT_SECONDS = 3.0
"""At the end of a training that is stopped, or whose receivers are known to be down."""
_MLFLOW = "MLflow"  # the receiver of events that name no sink


def track(plan: Plan, name: str | None = None) -> bool:
    """Upload a run, or all runs without a name, to MLflow and other sinks at the end of a stage.

    If that fails, log one line and return False. A cluster job does not upload its run to a
    database file, because many jobs would write to it over a network file system. The report
    uploads all runs, because the workflow engine runs it locally.
    """
    update_sinks(plan, _records(plan, [name] if name else list(plan.runs)), STAGE_END)
    return _track_in_mlflow(plan, name)


def _track_in_mlflow(plan: Plan, name: str | None) -> bool:
    store = _usable_store(plan)
    if store is None:
        return False
    if name and is_database_file(store.uri) and in_cluster_job():
        return True
    _, failure = _upload(_records(plan, [name] if name else list(plan.runs)), store, STAGE_END)
    if failure:
        _log.info(f"{_describe(store)} could not be updated {failure}")
    return not failure


def sync(plan: Plan, action: Literal["sync"], *, follow: bool) -> int:
    """Upload all runs to MLflow; return exit code 1 if some could not be uploaded, else 0.

    MLflow is asked for each run: a store, or a run in it, may have been deleted since its upload.
    With `follow`, repeat this every few seconds until no run is training any more, or Ctrl-C.
    Raises UserError if the address of the MLflow store is invalid, or MLflow is not installed;
    other sinks are then updated.
    """
    store = _store(plan)
    if not is_installed("mlflow"):
        update_sinks(plan, _records(plan, list(plan.runs)), SYNC)
        raise missing_mlflow()
    outages = _OutageLog(_describe(store))
    is_checked = False
    while True:
        records = _records(plan, list(plan.runs))
        uploaded, failure = _upload(records, store, SYNC, check=not is_checked)
        is_checked = is_checked or not failure
        in_sinks = update_sinks(plan, records, SYNC)
        if not follow or not any(record.state == "running" for record in records):
            break
        if failure:
            again = "" if failure.by_hand else "; trying again"
            outages.failed(f"could not be updated ({failure.reason}){again}")
        else:
            outages.succeeded()
        try:
            time.sleep(_SECONDS_BETWEEN_PASSES)
        except KeyboardInterrupt:
            break
    summary = f"{len(uploaded)} of {len(records)} runs are in MLflow"
    if failure:
        missing = ", ".join(r.name for r in records if r.name not in uploaded)
        summary += f"; {_describe(store)} is without {missing} {failure}"
    _log.info(summary)
    ended = len(ended_runs(records))
    for sink, count in in_sinks.items():
        _log.info(f"{count} of {ended} runs that have ended are in {sink}")
    return 1 if failure or any(count < ended for count in in_sinks.values()) else 0


@dataclass(frozen=True)
class _Failure:
    """Why an upload failed, and whether a user must do something before the next can succeed."""

    reason: str
    by_hand: bool

    @classmethod
    def of(cls, event: dict[str, Any], key: str) -> Self:
        """Return the failure of an event, whose reason is under `key`."""
        return cls(event[key], event.get("by_hand", False))

    def __str__(self) -> str:
        return f"({self.reason}); {AFTERWARDS if self.by_hand else LATER}"


class _OutageLog:
    """Logs the first failure of uploads to an MLflow store, and the first recovery from one."""

    def __init__(self, store: str) -> None:
        self._store = store
        self.is_down = self.failure_logged = self._recovery_logged = False

    def failed(self, what: str) -> None:
        self.is_down = True
        if not self.failure_logged:
            self.failure_logged = True
            _log.info(f"{self._store} {what}")

    def succeeded(self) -> None:
        if self.is_down and not self._recovery_logged:
            self._recovery_logged = True
            _log.info(f"{self._store} could be updated again and has all records so far")
        self.is_down = False

    def failed_finally(self, what: str) -> None:
        """Log at the end that records are missing, unless the last message was about a failure."""
        if not self.failure_logged or self._recovery_logged:
            _log.info(f"{self._store} {what}")


class LiveTracking:
    """Context manager that uploads a training to MLflow and other sinks while it runs.

    An uploader process sends the records of the training and samples system metrics. Enter the
    context after the run's lock and GPUs are acquired, and call `finish` after they are released. A
    database file is written only by `finish`, and not at all inside a cluster job.
    """

    def __init__(self, plan: Plan, name: str, work: Path, manifest_digest: str) -> None:
        self._run = (plan, name, work, manifest_digest)
        self._uploader: Uploader | None = None
        self._is_live = False
        self._ended_at = 0.0
        self._outages: dict[str, _OutageLog] = {}
        """Of each receiver of live records, by its name."""

    def __enter__(self) -> Self:
        plan, name, work, _ = self._run
        store = _usable_store(plan)
        sinks = curve_sinks(plan)
        work.mkdir(parents=True, exist_ok=True)
        try:
            self._uploader = Uploader(LIVE, self._on_event)
        except OSError as error:
            names = ", ".join(["MLflow", *sinks.names])
            _log.info(f"{names}: not updated during this training: {error}")
            return self
        self._outages = {name: _OutageLog(name) for name in sinks.names}
        if store and not is_database_file(store.uri):
            self._is_live = True
            self._outages[_MLFLOW] = _OutageLog(_describe(store))
        self._uploader.send(
            follow=training_record(*self._run, "running"),
            store=store,
            live=self._is_live,
            sinks=sinks,
            gpus=plan.run(name).run.devices.gpus > 0,
        )
        return self

    def _on_event(self, event: dict[str, Any]) -> None:
        outages = self._outages.get(event.get("sink", _MLFLOW))
        if outages and "failed" in event:
            outages.failed(f"could not be updated {_Failure.of(event, 'failed')}")
        elif outages and "succeeded" in event:
            outages.succeeded()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._uploader is None:
            return
        self._ended_at = time.monotonic()
        failed = kind is not None and issubclass(kind, Exception)
        record = training_record(*self._run, "failed" if failed else "interrupted")
        self._uploader.send(ended=record)
        if record.state != "finished":
            self._wait(_SHORT_WAIT_SECONDS)

    def finish(self) -> None:
        """Finish the upload of the training.

        For a server, wait for the last upload, at most ten seconds after the end of the training.
        For a database file, write the whole run now.
        """
        if self._uploader is not None:
            all_down = all(outages.is_down for outages in self._outages.values())
            self._wait(_SHORT_WAIT_SECONDS if all_down else LIVE.total)
        if not self._is_live:
            _track_in_mlflow(*self._run[:2])

    def _wait(self, seconds: float) -> None:
        assert self._uploader is not None
        waiting = set(self._outages)
        if waiting:
            for event in self._uploader.events(self._ended_at + seconds - time.monotonic()):
                if "done" in event:
                    waiting.discard(event.get("sink", _MLFLOW))
                if not waiting:
                    break
        for name, outages in self._outages.items():
            if outages.is_down or name in waiting:
                outages.failed_finally(f"did not receive the last records; {LATER}")
        self._uploader.close()
        self._uploader = None


def _store(plan: Plan) -> TrackingStore:
    tracking, home = plan.params.tracking, plan.layout.home
    return TrackingStore(store_uri(tracking.uri, home), tracking.experiment, home)


def _usable_store(plan: Plan) -> TrackingStore | None:
    """Return the MLflow store; if its address is invalid, log the error and return None."""
    try:
        return _store(plan)
    except UserError as error:
        _log.info(f"MLflow is not updated: {error}")
        return None


def _records(plan: Plan, names: list[str]) -> list[TrackedRun]:
    return [record for name in names if (record := current_record(plan, name))]


def _upload(
    records: list[TrackedRun], store: TrackingStore, timeouts: Timeouts, *, check: bool = False
) -> tuple[list[str], _Failure | None]:
    """Upload the runs that are not in MLflow yet; with `check`, notes about uploads are not enough.

    A database file is written by this process. A server is written by a child process, which can be
    killed at any time. Returns the names of the runs in MLflow, and the failure if some are
    missing.
    """
    uploaded = [r.name for r in records if not check and is_uploaded(r, store)]
    missing = [record for record in records if record.name not in uploaded]
    events: list[dict[str, Any]] = []
    if missing and is_database_file(store.uri):
        with warnings.catch_warnings(action="ignore"):
            upload_runs(missing, store, events.append)
    elif missing:
        with contextlib.closing(Uploader(timeouts)) as uploader:
            uploader.upload(missing, store, events.append)
    uploaded += [event["uploaded"] for event in events if "uploaded" in event]
    for note in dict.fromkeys(event["note"] for event in events if event.get("note")):
        _log.info(f"{_describe(store)}: {note}")
    failures = [_Failure.of(event, "reason") for event in events if event.get("reason")]
    return uploaded, failures[-1] if failures else None


def _describe(store: TrackingStore) -> str:
    return f"MLflow at {redact(store.uri)}"

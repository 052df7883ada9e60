"""Feeding MLflow: while a run trains, after a stage, and by `isnet track sync`."""

from __future__ import annotations

import logging
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

from isnet.errors import UserError
from isnet.pipeline.mlflow_contents import begun_record, ended_record, tracked_run
from isnet.settings.plan import Plan
from isnet.tracking.mlflow.backoff import Breaker
from isnet.tracking.mlflow.failure_reason import reason_of
from isnet.tracking.mlflow.mlflow_sink import is_sent, send
from isnet.tracking.mlflow.run_record import RunRecord, Store
from isnet.tracking.mlflow.uploader_client import (
    BRINGING,
    FOLLOWING,
    SYNCING,
    Brought,
    Feeder,
    Patience,
)
from isnet.tracking.store_address import in_cluster_job, is_database_file, scrubbed, store_uri

__all__ = ["Following", "sync", "track", "track_all"]

_log = logging.getLogger(__name__)

_SECONDS_BETWEEN_PASSES = 5.0
_SAMPLE_SECONDS = 30.0
_LAST_WORDS_SECONDS = 3.0
"""For a training that is stopped, or whose server is known to be down."""
_LATER = "nothing is lost: `isnet track sync` sends it later"


def track(plan: Plan, name: str) -> bool:
    """Bring a run to MLflow at the end of a stage; return False and say so in one line where this
    was not possible.

    A job of a cluster leaves a database file alone: many would write it, over a network.
    """
    store = _usable_store(plan)
    if store and is_database_file(store.uri) and in_cluster_job():
        return True
    return store is not None and _bring_and_tell(plan, [name], store)


def track_all(plan: Plan) -> bool:
    """The same for all runs, by the one stage that is local to the conductor."""
    store = _usable_store(plan)
    return store is not None and _bring_and_tell(plan, list(plan.runs), store)


def sync(plan: Plan, *, follow: bool) -> int:
    """Bring all runs to MLflow; return the exit code: 1 where some are not there.

    Args:
        plan: all of params.yaml.
        follow: go on every few seconds, until no run trains any more or Ctrl-C.

    Raises:
        UserError: MLflow's address cannot be.
    """
    store = _store(plan)
    breaker = Breaker()
    while True:
        records = _records(plan, list(plan.runs))
        brought = _bring(records, store, SYNCING)
        _tell_notes(brought, store)
        if not follow or not any(record.state == "running" for record in records):
            break
        if brought.reason and breaker.failed():
            _log.info(f"{_shown(store)} could not be fed ({brought.reason}); tries again")
        elif not brought.reason and breaker.worked():
            _log.info(f"{_shown(store)} could be fed again")
        try:
            time.sleep(_SECONDS_BETWEEN_PASSES)
            while not breaker.may_try():
                time.sleep(1)
        except KeyboardInterrupt:
            break
    _log.info(_summary(records, brought, store))
    return 1 if brought.reason else 0


class Following:
    """Tells MLflow of a training while it runs, from a process of its own, and records what it uses
    of its machine.

    Enter it around the training, when its lock and its GPUs are held; call `finish` when nobody
    waits for them any more. Where the store is a database file, MLflow is fed by `finish`, and by
    nobody inside a cluster's job.

    Args:
        plan: all of params.yaml.
        name: the run.
        work: private folder of the training.
        manifest_digest: of its data.
        speaks: whether it is this one of several machines that tells of the run.
    """

    def __init__(
        self, plan: Plan, name: str, work: Path, manifest_digest: str, *, speaks: bool = True
    ) -> None:
        self._plan, self._name, self._work = plan, name, work
        self._manifest_digest = manifest_digest
        self._speaks = speaks
        self._feeder: Feeder | None = None
        self._is_live = self._is_down = False
        self._has_ended = 0.0
        self._last_word = self._where = ""

    def __enter__(self) -> Following:
        if not self._speaks:
            return self
        store = _usable_store(self._plan)
        self._is_live = store is not None and not is_database_file(store.uri)
        self._where = _shown(store) if store else ""
        planned = self._plan.run(self._name)
        record = begun_record(self._plan, self._name, self._work, self._manifest_digest)
        self._work.mkdir(parents=True, exist_ok=True)
        try:
            self._feeder = Feeder(FOLLOWING, self._hear)
        except OSError as error:
            _log.info(f"MLflow is not fed while this trains: {error}")
            self._is_live = False
            return self
        self._feeder.follow(
            record,
            store or Store("", "", self._plan.layout.home),
            live=self._is_live,
            gpus=planned.run.devices.gpus > 0,
            seconds=_SAMPLE_SECONDS,
        )
        return self

    def _hear(self, answer: dict[str, Any]) -> None:
        """Say what the feeder has to say: at its first failure and its first recovery."""
        if "down" in answer:
            self._is_down = True
            if answer["say"]:
                self._say_failure(f"could not be fed ({answer['down']})")
        elif "up" in answer:
            self._is_down = False
            if answer["say"]:
                self._last_word = "up"
                _log.info(f"{self._where} could be fed again; it has all so far")

    def _say_failure(self, what: str) -> None:
        self._last_word = "down"
        _log.info(f"{self._where} {what}; {_LATER}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._feeder is None:
            return
        self._has_ended = time.monotonic()
        record = ended_record(
            self._plan,
            self._name,
            self._work,
            self._manifest_digest,
            failed=kind is not None and issubclass(kind, Exception),
        )
        self._feeder.end_run(record)
        if record.state != "finished":
            self._wait(_LAST_WORDS_SECONDS)

    def finish(self) -> None:
        """Wait for what is on its way, ten seconds after the training's end at most; feed a
        database file.
        """
        if self._feeder is not None:
            self._wait(_LAST_WORDS_SECONDS if self._is_down else FOLLOWING.total)
        if not self._is_live:
            track(self._plan, self._name)

    def _wait(self, seconds: float) -> None:
        assert self._feeder is not None
        was_done = False
        if self._is_live:
            left = self._has_ended + seconds - time.monotonic()
            was_done = any("done" in answer for answer in self._feeder.answers(left))
        self._feeder.close()
        self._feeder = None
        if self._is_live and (self._is_down or not was_done) and self._last_word != "down":
            self._say_failure("did not take the last of it")


def _store(plan: Plan) -> Store:
    tracking, home = plan.params.tracking, plan.layout.home
    return Store(store_uri(tracking.uri, home), tracking.experiment, home)


def _usable_store(plan: Plan) -> Store | None:
    """Return the store; an address that cannot be costs a line, and no stage."""
    try:
        return _store(plan)
    except UserError as error:
        _log.info(f"MLflow is not fed: {error}")
        return None


def _records(plan: Plan, names: list[str]) -> list[RunRecord]:
    return [record for name in names if (record := tracked_run(plan, name))]


def _bring_and_tell(plan: Plan, names: list[str], store: Store) -> bool:
    brought = _bring(_records(plan, names), store, BRINGING)
    _tell_notes(brought, store)
    if brought.reason:
        _log.info(f"{_shown(store)} could not be fed ({brought.reason}); {_LATER}")
    return not brought.reason


def _bring(records: list[RunRecord], store: Store, patience: Patience) -> Brought:
    """Send what was not sent: into a database file from here, to a server from a process that can
    be ended whatever it waits for.
    """
    there = tuple(record.name for record in records if is_sent(record, store))
    missing = [record for record in records if record.name not in there]
    if not missing:
        return Brought(there)
    if is_database_file(store.uri):
        brought = _bring_from_here(missing, store)
    else:
        feeder = Feeder(patience)
        try:
            brought = feeder.bring(missing, store)
        finally:
            feeder.close()
    return Brought(there + brought.sent, brought.reason, brought.notes)


def _bring_from_here(records: list[RunRecord], store: Store) -> Brought:
    sent: list[str] = []
    notes: dict[str, None] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for record in records:
                notes |= dict.fromkeys(filter(None, [send(record, store)]))
                sent.append(record.name)
    except Exception as error:
        return Brought(tuple(sent), reason_of(error), tuple(notes))
    return Brought(tuple(sent), notes=tuple(notes))


def _tell_notes(brought: Brought, store: Store) -> None:
    for note in brought.notes:
        _log.info(f"{_shown(store)}: {note}")


def _shown(store: Store) -> str:
    return f"MLflow at {scrubbed(store.uri)}"


def _summary(records: list[RunRecord], brought: Brought, store: Store) -> str:
    counted = f"{len(brought.sent)} of {len(records)} runs are in MLflow"
    if not brought.reason:
        return counted
    missing = ", ".join(record.name for record in records if record.name not in brought.sent)
    return f"{counted}; {_shown(store)} is without {missing} ({brought.reason}); {_LATER}"

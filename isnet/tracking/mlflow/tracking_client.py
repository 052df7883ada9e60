"""Wraps MLflow's client to report a heartbeat after each answer, and explains failed calls."""

import contextlib
import logging
import os
import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.extras import install_command, is_installed
from isnet.tracking.redaction import redact

_DEFAULT_STORE = "MLFLOW_TRACKING_URI"
_HEARTBEAT_SECONDS = 3.0
_LOGGERS = ("mlflow", "alembic", "urllib3")
_OTHER_SCHEMA = (
    r"out-of-date database schema \(found version (\w+)|locate revision identified by '(\w+)'"
)
"""Errors of MLflow and Alembic about a database that another version of MLflow has written."""


class TrackingClient:
    """An `MlflowClient` that calls `heartbeat` after each answer of the tracking store.

    A process that waits for an upload takes the absence of heartbeats for a server that hangs.
    Raises UserError if another version of MLflow has written the database.
    """

    def __init__(self, uri: str, heartbeat: Callable[[], None]) -> None:
        self._uri = uri
        with _as_default_store(uri):
            self._client = _create_client(uri)
        self._heartbeat = heartbeat
        heartbeat()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **named: Any) -> Any:
            with _as_default_store(self._uri):
                answer = method(*arguments, **named)
            self._heartbeat()
            return answer

        return call

    @contextlib.contextmanager
    def keep_alive(self, seconds: float) -> Iterator[None]:
        """Send heartbeats to the parent process during a long call, for at most `seconds`."""
        done = threading.Event()
        end = time.monotonic() + seconds

        def beat() -> None:
            while not done.wait(_HEARTBEAT_SECONDS) and time.monotonic() < end:
                self._heartbeat()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextlib.contextmanager
def _as_default_store(uri: str) -> Iterator[None]:
    """Make `uri` MLflow's default store: its model registry opens that one beside the client's."""
    before = os.environ.get(_DEFAULT_STORE)
    os.environ[_DEFAULT_STORE] = uri
    try:
        yield
    finally:
        if before is None:
            del os.environ[_DEFAULT_STORE]
        else:
            os.environ[_DEFAULT_STORE] = before


def missing_mlflow() -> UserError:
    """Return the error that MLflow is not installed."""
    return UserError("mlflow is not installed", hint=f"Run {install_command('mlflow')}")


def _create_client(uri: str) -> Any:
    # No usage statistics; MLflow's telemetry thread also made early requests fail.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if not is_installed("mlflow"):
        raise missing_mlflow()
    from mlflow import MlflowClient
    from mlflow.store.db import utils

    # The default is ten attempts to open a database that is down.
    utils.MAX_RETRY_COUNT = 1
    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
    # The import configures these loggers. Failures are reported by isnet.
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return MlflowClient(tracking_uri=uri)
    except Exception as error:
        if found := re.search(_OTHER_SCHEMA, str(error)):
            raise _schema_error(uri, found[1] or found[2]) from error
        raise


def _schema_error(uri: str, schema: str) -> UserError:
    """Say what to do about a database whose tables have the version `schema`."""
    import mlflow
    from alembic.script import ScriptDirectory

    migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if schema in [migration.revision for migration in migrations.walk_revisions()]:
        return UserError(
            "its tables are of an older MLflow",
            hint=f"Back it up and run `mlflow db upgrade {shlex.quote(redact(uri))}`",
        )
    return UserError(
        f"its tables are of a newer MLflow than {mlflow.__version__}",
        hint="Install the version here that has written it, or use another database",
    )


def is_of_one_run(error: BaseException) -> bool:
    """Return whether a call failed for what it was to write; another run may still be written."""
    code = getattr(error, "error_code", None)
    is_value = isinstance(error, TypeError | ValueError | KeyError)
    return code == "INVALID_PARAMETER_VALUE" or (is_value and not isinstance(error, OSError))

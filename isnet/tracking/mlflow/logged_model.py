"""The model of a run in MLflow: one for its weights, uploaded once, whoever feeds it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from isnet.tracking.mlflow.idempotent_writes import CREATED, lock_on, make_once
from isnet.tracking.mlflow.model_folder import model_folder
from isnet.tracking.mlflow.run_record import RunRecord

__all__ = ["MODEL_NAME", "WEIGHTS", "logged_model"]

MODEL_NAME = "model"
"""`runs:/RUN/model` finds it."""
WEIGHTS = "weights.sha256"

_SLOWEST_BYTES_PER_SECOND = 1e6
_SECONDS_BETWEEN_BEATS = 3.0


def logged_model(
    client: Any, experiment_id: str, run_id: str, record: RunRecord, beat: Callable[[], None]
) -> str:
    """Return the id of the model of a run's weights; it is made where it is not there.

    An upload that was cut off is done again, into the same model. Of two models that were created
    at once the older one stays.
    """
    assert record.summary is not None
    sha256 = str(record.summary["weights_sha256"])
    with lock_on(record.work):
        found = _models(client, experiment_id, run_id, sha256)
        if not found:
            _create(client, experiment_id, run_id, sha256)
            found = _models(client, experiment_id, run_id, sha256)
        model, *doubles = found
        if str(model.status) != "READY":
            _upload(client, str(model.model_id), run_id, record, beat)
        for double in doubles:
            client.delete_logged_model(double.model_id)
    beat()
    return str(model.model_id)


def _models(client: Any, experiment_id: str, run_id: str, sha256: str) -> list[Any]:
    """Return the models of these weights, the oldest first."""
    filtered = f"tags.`{WEIGHTS}` = '{sha256}'"
    found = client.search_logged_models([experiment_id], filtered)
    return sorted(
        (model for model in found if model.source_run_id == run_id),
        key=lambda model: (int(model.tags.get(CREATED, 0)), str(model.model_id)),
    )


def _create(client: Any, experiment_id: str, run_id: str, sha256: str) -> None:
    client.create_logged_model(
        experiment_id,
        name=MODEL_NAME,
        source_run_id=run_id,
        tags={WEIGHTS: sha256, CREATED: str(time.time_ns())},
        model_type="segmentation",
    )


def _upload(
    client: Any, model_id: str, run_id: str, record: RunRecord, beat: Callable[[], None]
) -> None:
    from mlflow.entities import LoggedModelOutput

    assert record.weights is not None
    size = record.weights.stat().st_size
    with _beating(beat, 60 + size / _SLOWEST_BYTES_PER_SECOND):
        with model_folder(record.weights, record.example, record.work, model_id, run_id) as folder:
            client.log_model_artifacts(model_id, str(folder))
    make_once(
        lambda: model_id in [m.model_id for m in client.get_run(run_id).outputs.model_outputs],
        lambda: client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)]),
    )
    client.finalize_logged_model(model_id, "READY")


@contextlib.contextmanager
def _beating(beat: Callable[[], None], seconds: float) -> Iterator[None]:
    """Say that it lives while a large file is on its way, for `seconds` at most: whoever waits
    takes silence for a server that hangs.
    """
    done = threading.Event()
    end = time.monotonic() + seconds

    def say() -> None:
        while not done.wait(_SECONDS_BETWEEN_BEATS) and time.monotonic() < end:
            beat()

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()

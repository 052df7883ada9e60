"""Uploads the weights of a run as an MLflow logged model, once per run and weights."""

import time
from typing import Any

from isnet.tracking.mlflow.idempotent_writes import CREATED, create_once, lock_creation
from isnet.tracking.mlflow.model_folder import model_folder
from isnet.tracking.mlflow.run_record import RunRecord
from isnet.tracking.mlflow.tracking_client import TrackingClient

MODEL_NAME = "model"
"""Name of the model below its run: `runs:/RUN/model`."""
WEIGHTS = "weights.sha256"

_SLOWEST_BYTES_PER_SECOND = 1e6


def log_model(client: TrackingClient, experiment_id: str, run_id: str, record: RunRecord) -> str:
    """Upload the model of a run's weights unless it is complete; return its id.

    An interrupted upload is repeated into the same model. Of two models that were created
    concurrently the oldest is used; the uploader of the other one removes it, still empty.
    """
    assert record.summary is not None
    sha256 = str(record.summary["weights_sha256"])
    with lock_creation(record.work):
        found = _models(client, experiment_id, run_id, sha256)
        if not found:
            created = client.create_logged_model(
                experiment_id,
                name=MODEL_NAME,
                source_run_id=run_id,
                tags={WEIGHTS: sha256, CREATED: str(time.time_ns())},
                model_type="segmentation",
            )
            found = _models(client, experiment_id, run_id, sha256)
            if found[0].model_id != created.model_id:
                # It has no files, and MLflow would find it under `runs:/RUN/model`.
                client.delete_logged_model(created.model_id)
        model = found[0]
        if str(model.status) != "READY":
            _upload(client, str(model.model_id), run_id, record)
    return str(model.model_id)


def _models(client: TrackingClient, experiment_id: str, run_id: str, sha256: str) -> list[Any]:
    """Return the models of these weights, oldest first."""
    found = client.search_logged_models([experiment_id], f"tags.`{WEIGHTS}` = '{sha256}'")
    return sorted(
        (model for model in found if model.source_run_id == run_id),
        key=lambda model: (int(model.tags.get(CREATED, 0)), str(model.model_id)),
    )


def _upload(client: TrackingClient, model_id: str, run_id: str, record: RunRecord) -> None:
    from mlflow.entities import LoggedModelOutput

    assert record.weights is not None
    size = record.weights.stat().st_size
    with client.keep_alive(60 + size / _SLOWEST_BYTES_PER_SECOND):
        with model_folder(record.weights, record.example, record.work, model_id, run_id) as folder:
            client.log_model_artifacts(model_id, str(folder))
    create_once(
        lambda: model_id in [m.model_id for m in client.get_run(run_id).outputs.model_outputs],
        lambda: client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)]),
    )
    client.finalize_logged_model(model_id, "READY")

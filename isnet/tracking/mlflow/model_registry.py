"""Uploads weights as MLflow logged models, and registers them as model versions.

A logged model belongs to one run and its weights. The registry has a model for each experiment and
data set, a version for each weights file, and the alias `best`.
"""

import re
import time
from typing import Any

from isnet.tracking.mlflow.idempotent_writes import CREATED, create_once, lock_creation, search_all
from isnet.tracking.mlflow.model_folder import model_folder
from isnet.tracking.mlflow.tracking_client import TrackingClient
from isnet.tracking.tracked_run import TrackedRun

WEIGHTS = "weights.sha256"

_SLOWEST_BYTES_PER_SECOND = 1e6
BEST = "best"

_SCORE, _DATA, _RUN = "mIoU", "data.manifest", "run"
_UNSUPPORTED = ("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED", "PERMISSION_DENIED")
_ROUNDS = 10


def log_model(client: TrackingClient, experiment_id: str, run_id: str, record: TrackedRun) -> str:
    """Upload the weights of a run as an MLflow logged model, and return the model's id.

    A complete model is not uploaded again. An interrupted upload is repeated into the same model.
    If two uploaders create a model concurrently, both use the older one, and the uploader of the
    newer one removes it while it is empty.
    """
    assert record.summary is not None
    sha256 = str(record.summary["weights_sha256"])
    with lock_creation(record.work):
        found = _models(client, experiment_id, run_id, sha256)
        if not found:
            created = client.create_logged_model(
                experiment_id,
                name="model",  # below its run: `runs:/RUN/model`
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
    """Return the logged models of the given run and weights, oldest first."""
    found = client.search_logged_models([experiment_id], f"tags.`{WEIGHTS}` = '{sha256}'")
    return sorted(
        (model for model in found if model.source_run_id == run_id),
        key=lambda model: (int(model.tags.get(CREATED, 0)), str(model.model_id)),
    )


def _upload(client: TrackingClient, model_id: str, run_id: str, record: TrackedRun) -> None:
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


def registered_name(experiment: str, dataset: str) -> str:
    """Return the name of the registered model for an experiment and a data set."""
    return re.sub(r"[^\w .-]+", "-", f"{experiment}-{dataset}")


def is_without_registry(error: Exception) -> bool:
    """Return whether an error means that the store has no model registry or denies access.

    Trying again is then useless.
    """
    code = getattr(error, "error_code", None)
    return isinstance(error, NotImplementedError) or code in _UNSUPPORTED


def register(client: Any, name: str, model_id: str, run_id: str, record: TrackedRun) -> None:
    """Register an evaluated run's model as a version of `name`, and update the alias `best`.

    The version is tagged with the score and the data of the run.
    """
    assert record.summary and record.metrics
    about = f"Single-scale mIoU decides which version is `{BEST}`: `models:/{name}@{BEST}`."
    create_once(
        # A search, because reading a missing model is an error like any other.
        lambda: bool(client.search_registered_models(f"name = '{name}'")),
        lambda: client.create_registered_model(name, description=about),
    )
    version = _find_or_create(client, name, model_id, run_id, record.summary["weights_sha256"])
    for key, value in version_tags(record).items():
        _set_tag(client, name, version, key, value)
    _set_best(client, name)


def version_tags(record: TrackedRun) -> dict[str, str]:
    """Return the tags of the version of an evaluated run; a score over nothing has no tag."""
    assert record.metrics
    score = record.metrics["single_scale"]["mIoU"]
    tags = {
        _DATA: record.manifest_digest,
        _RUN: record.name,
        "method": str(record.settings["method"]),
    }
    if score is not None:
        tags[_SCORE] = repr(float(score))
    if record.labelled_classes:
        tags["labelled_classes"] = record.labelled_classes
    if record.origin:  # weights that were not trained here
        tags |= {"weights.origin": record.origin["origin"], "file.sha256": record.origin["sha256"]}
    return tags


def _set_tag(client: Any, name: str, version: str, key: str, value: str) -> None:
    create_once(
        lambda: client.get_model_version(name, version).tags.get(key) == value,
        lambda: client.set_model_version_tag(name, version, key, value),
    )


def _find_or_create(client: Any, name: str, model_id: str, run_id: str, sha256: str) -> str:
    """Return the number of the oldest registered version of the weights; create it if needed."""

    def same_weights() -> list[Any]:
        return [v for v in _versions(client, name) if v.tags.get(WEIGHTS) == sha256]

    found = same_weights()
    if not found:
        given = {"tags": {WEIGHTS: sha256}, "await_creation_for": 0, "model_id": model_id}
        client.create_model_version(name, f"models:/{model_id}", run_id, **given)
        found = same_weights()
    return str(found[0].version)


def _versions(client: Any, name: str) -> list[Any]:
    """Return all versions of a registered model, oldest first."""
    found = search_all(
        lambda token: client.search_model_versions(f"name = '{name}'", page_token=token)
    )
    return sorted(found, key=lambda version: int(version.version))


def _set_best(client: Any, name: str) -> None:
    """Set the alias `best` to the version with the highest mIoU.

    This is repeated until the alias is right, because another uploader may set it from earlier
    scores. An error is ignored if another uploader has set the alias meanwhile.
    """
    for _ in range(_ROUNDS):
        best = _best(_versions(client, name))
        current = _current_best(client, name)
        if best is None or current == best:
            return
        try:
            client.set_registered_model_alias(name, BEST, best)
        except Exception:  # two inserts at once: the server refuses one of them
            if _current_best(client, name) == current:
                raise


def _current_best(client: Any, name: str) -> str | None:
    """Return the number of the version that has the alias `best`, or None."""
    number = client.get_registered_model(name).aliases.get(BEST)
    return None if number is None else str(number)


def _best(versions: list[Any]) -> str | None:
    """Return the number of the version with the highest mIoU, or None if no version has a score.

    Only versions evaluated on the data registered last are compared, because scores on other data
    do not compare. Of equal versions the oldest is returned.
    """
    scored = [version for version in versions if _SCORE in version.tags]
    if not scored:
        return None
    data = scored[-1].tags.get(_DATA)
    same = [version for version in scored if version.tags.get(_DATA) == data]
    return str(max(same, key=lambda v: (float(v.tags[_SCORE]), -int(v.version))).version)

"""MLflow's registry: one name for an experiment and data set, one version for each weights, and
the alias `best`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from isnet.tracking.mlflow.idempotent_writes import all_pages, make_once
from isnet.tracking.mlflow.logged_model import WEIGHTS
from isnet.tracking.mlflow.run_record import RunRecord

__all__ = ["BEST", "is_without_registry", "register", "registered_name", "unregister"]

BEST = "best"

_SCORE, _DATA, _RUN = "mIoU", "data.manifest", "run"
_UNSUPPORTED = ("ENDPOINT_NOT_FOUND", "FEATURE_DISABLED", "NOT_IMPLEMENTED", "PERMISSION_DENIED")
_ROUNDS = 10


def registered_name(experiment: str, dataset: str) -> str:
    """Return the name under which models of an experiment and data set are registered."""
    return re.sub(r"[^\w .-]+", "-", f"{experiment}-{dataset}")


def is_without_registry(error: Exception) -> bool:
    """Whether a store says that it has no registry, or none for us: no reason to try again."""
    return isinstance(error, NotImplementedError) or (
        getattr(error, "error_code", None) in _UNSUPPORTED
    )


def register(
    client: Any, name: str, model_id: str, run_id: str, record: RunRecord, beat: Callable[[], None]
) -> None:
    """Make the weights of an evaluated run a version of `name`, where they are none, say how good
    they are, and let `best` point at the best.
    """
    assert record.summary is not None and record.metrics is not None
    _ensure_name(client, name)
    beat()
    version = _version(client, name, model_id, run_id, record.summary["weights_sha256"])
    beat()
    tags = {
        _SCORE: repr(float(record.metrics["single_scale"]["mIoU"])),
        _DATA: record.manifest_digest,
        _RUN: record.name,
        "method": str(record.settings["method"]),
    }
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(name, version.version, key, value)
    beat()
    _point_at_best(client, name)
    beat()


def unregister(client: Any, run_id: str) -> None:
    """Take the versions of a run that is to be removed away."""
    for version in client.search_model_versions(f"run_id = '{run_id}'"):
        _delete_version(client, version.name, version.version)


def _ensure_name(client: Any, name: str) -> None:
    about = f"Single-scale mIoU decides which version is `{BEST}`: `models:/{name}@{BEST}`."
    make_once(
        # A search, because asking for one that is not there is an error among others.
        lambda: bool(client.search_registered_models(f"name = '{name}'")),
        lambda: client.create_registered_model(name, description=about),
    )


def _versions(client: Any, name: str) -> list[Any]:
    """Return all versions, the first one first."""
    found = all_pages(
        lambda token: client.search_model_versions(f"name = '{name}'", page_token=token)
    )
    return sorted(found, key=lambda version: int(version.version))


def _version(client: Any, name: str, model_id: str, run_id: str, sha256: str) -> Any:
    """Find the version of these weights, or create it. Of two that feeders made at once the first
    one stays.
    """
    same = [v for v in _versions(client, name) if v.tags.get(WEIGHTS) == sha256]
    if not same:
        client.create_model_version(
            name,
            f"models:/{model_id}",
            run_id,
            tags={WEIGHTS: sha256},
            await_creation_for=0,
            model_id=model_id,
        )
        same = [v for v in _versions(client, name) if v.tags.get(WEIGHTS) == sha256]
    for double in same[1:]:
        _delete_version(client, name, double.version)
    return same[0]


def _delete_version(client: Any, name: str, version: str) -> None:
    try:
        client.delete_model_version(name, version)
    except Exception:
        if any(v.version == version for v in _versions(client, name)):
            raise


def _point_at_best(client: Any, name: str) -> None:
    """Set the alias, and look again: another feeder may have set it in between, from what it had
    seen before.
    """
    for _ in range(_ROUNDS):
        best = _best(_versions(client, name))
        if best is None or _pointed_at(client, name) == best:
            return
        client.set_registered_model_alias(name, BEST, best)


def _best(versions: list[Any]) -> str | None:
    """Return the version of the highest mIoU, of equal ones the first, on the data that were
    registered last: scores on other data do not compare.
    """
    scored = [version for version in versions if _SCORE in version.tags]
    if not scored:
        return None
    data = scored[-1].tags.get(_DATA)
    same = [version for version in scored if version.tags.get(_DATA) == data]
    return str(max(same, key=lambda v: (float(v.tags[_SCORE]), -int(v.version))).version)


def _pointed_at(client: Any, name: str) -> str | None:
    aliases: dict[str, Any] = client.get_registered_model(name).aliases
    return str(aliases[BEST]) if BEST in aliases else None

"""Where artifacts lie beside a database: MLflow keeps absolute addresses, but checkouts move."""

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from isnet.tracking.store_address import is_database_file
from isnet.tracking.tracked_run import TrackingStore

_FOLDER = "mlartifacts"


def artifact_place(store: TrackingStore) -> str | None:
    """Return the address of the experiment's artifacts; None for a server, which has its own place.

    With a database they go into the checkout: MLflow's default ./mlruns would make a bare
    `mlflow ui` open the file store that MLflow refuses.
    """
    if store.uri.startswith(("http", "databricks")):
        return None
    return (store.home / _FOLDER / store.experiment).as_uri()


def follow_checkout(location: str, store: TrackingStore) -> str:
    """Correct the artifact addresses of a database that was moved or copied with its checkout.

    `location` is the address that MLflow has for the experiment. A database outside the checkout
    may serve several checkouts and is not changed.

    Returns a message for the user, empty if the artifacts are in this checkout, in a place that
    isnet has not chosen, or on a server.
    """
    place = artifact_place(store)
    if place is None or not location.startswith("file:") or _path(location) == _path(place):
        return ""
    here = store.home.as_uri()
    ending = place.removeprefix(here)
    if not location.endswith(ending):
        return ""
    there = location.removesuffix(ending)
    if not _is_in_checkout(store):
        return (
            f"its artifacts go to {_path(location)}, the place of its first run; "
            "another `tracking.experiment` keeps them in this checkout"
        )
    _replace_prefix(store.uri, f"{there}/{_FOLDER}/", f"{here}/{_FOLDER}/")
    return (
        f"it had its artifacts in {_path(there) / _FOLDER}, and has them now in "
        f"{store.home / _FOLDER}; copy those that are missing there"
    )


def _path(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path)).resolve()


def _is_in_checkout(store: TrackingStore) -> bool:
    from sqlalchemy import make_url

    database = make_url(store.uri).database if is_database_file(store.uri) else None
    return database is not None and Path(database).resolve().is_relative_to(store.home.resolve())


def _replace_prefix(uri: str, old: str, new: str) -> None:
    """Change all artifact addresses of a database that begin with `old`. MLflow has no call."""
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
    from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlLoggedModel, SqlRun
    from sqlalchemy import create_engine, func, literal, update

    engine = create_engine(uri)
    with engine.begin() as connection:
        for column in (
            SqlExperiment.artifact_location,
            SqlRun.artifact_uri,
            SqlLoggedModel.artifact_location,
            SqlModelVersion.storage_location,
        ):
            connection.execute(
                update(column.class_)
                .where(func.substr(column, 1, len(old)) == old)
                .values({column: literal(new).concat(func.substr(column, len(old) + 1))})
            )
    engine.dispose()

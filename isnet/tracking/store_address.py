"""Reads and validates the address of the MLflow tracking store."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from isnet.errors import UserError
from isnet.tracking.redaction import redact

_STORES = re.compile(
    r"(?:https?|sqlite(?:\+\w+)?|(?:postgresql|mysql|mssql)(?:\+\w+)?)://.+|databricks(?:://.+)?$"
)
"""Addresses of stores that MLflow can open. MLflow 3.13 dropped the file store `./mlruns`."""
_URI = "MLFLOW_TRACKING_URI"


def store_uri(params_uri: str, home: Path) -> str:
    """Return the address of the MLflow store: MLFLOW_TRACKING_URI if set, else `params_uri`.

    A relative sqlite path is resolved against `home`. Raises UserError if the result is not the
    address of a store.
    """
    uri = os.environ.get(_URI) or params_uri
    if not _STORES.match(uri) or (uri.startswith("http") and not _host(uri)):
        raise UserError(
            f"{redact(uri)!r} is not the address of an MLflow store",
            where=_URI if os.environ.get(_URI) else "params.yaml: tracking.uri",
            hint="Write http(s)://HOST:PORT, sqlite:///FILE or postgresql://HOST/DATABASE",
        )
    match = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^/].*)", uri)
    return f"{match[1]}{home / match[2]}" if match else uri


def _host(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises if it is not a number
        return parts.hostname
    except ValueError:
        return None


def is_database_file(uri: str) -> bool:
    """Return whether the store is a database file, which only one process at a time may write."""
    return uri.startswith("sqlite")


def in_cluster_job() -> bool:
    """Return whether this process runs in a cluster job. Jobs on other hosts may then run too."""
    return bool(os.environ.get("SLURM_JOB_ID") or os.environ.get("ISNET_BATCH_JOB") == "1")

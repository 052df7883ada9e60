"""Where MLflow is: which address, of what kind, and how it is shown without its secrets."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from isnet.errors import UserError

__all__ = ["STORES", "in_cluster_job", "is_database_file", "scrubbed", "store_uri"]

STORES = re.compile(
    r"(?:https?|sqlite(?:\+\w+)?|(?:postgresql|mysql|mssql)(?:\+\w+)?)://.+|databricks(?:://.+)?$"
)
"""Stores that MLflow can open; the folder `./mlruns` of old is none since MLflow 3.13."""

_SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "DATABRICKS_TOKEN",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
_URI = "MLFLOW_TRACKING_URI"


def store_uri(of_params: str, home: Path) -> str:
    """Return MLFLOW_TRACKING_URI, or params.yaml's address with a relative sqlite file in `home`.

    Raises:
        UserError: it is no address of a store.
    """
    uri = os.environ.get(_URI) or of_params
    if not STORES.match(uri) or (uri.startswith("http") and not _host(uri)):
        raise UserError(
            f"{scrubbed(uri)!r} is no address of an MLflow store",
            where=_URI if os.environ.get(_URI) else "params.yaml: tracking.uri",
            hint="Write http(s)://HOST:PORT, sqlite:///FILE or postgresql://HOST/DATABASE",
        )
    match = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^/].*)", uri)
    return f"{match[1]}{home / match[2]}" if match else uri


def _host(uri: str) -> str | None:
    try:
        place = urlsplit(uri)
        _ = place.port  # an impossible one raises
        return place.hostname
    except ValueError:
        return None


def is_database_file(uri: str) -> bool:
    """Whether the store is a file that one process at a time writes."""
    return uri.startswith("sqlite")


def in_cluster_job() -> bool:
    """Whether this process runs inside a cluster's job, perhaps beside jobs of other machines."""
    return bool(os.environ.get("SLURM_JOB_ID") or os.environ.get("ISNET_BATCH_JOB") == "1")


def scrubbed(text: str) -> str:
    """Return `text` in one line, without passwords and tokens: those of the environment, and what
    stands before the @ of an address.
    """
    secrets = {os.environ.get(name, "") for name in _SECRETS} | _in_uri(os.environ.get(_URI, ""))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(://)[^/@\s]+@", r"\1", text)
    text = re.sub(r"(?i)\b(password|passwd|token|secret)=[^&\s'\"]+", r"\1=***", text)
    return " ".join(text.split())


def _in_uri(uri: str) -> set[str]:
    """Return the password of an address, as it is written and as it is meant."""
    credentials = re.match(r"[^:/]+://([^/]*)@", uri) or re.match(r"[^:/]+://(.*)@", uri)
    password = credentials[1].partition(":")[2] if credentials else ""
    return {password, unquote(password)}

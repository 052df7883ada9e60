"""Removes passwords and tokens from text before it is logged or stored."""

import os
import re
from urllib.parse import unquote

_SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "DATABRICKS_TOKEN",
    "WANDB_API_KEY",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


def redact(text: str) -> str:
    """Remove secrets from text and return the text on one line.

    The secrets are those of the environment, credentials before the @ of a URL, and values of
    `password=`, `passwd=`, `token=` and `secret=`.
    """
    secrets = {os.environ.get(name, "") for name in _SECRETS}
    secrets |= _passwords(os.environ.get("MLFLOW_TRACKING_URI", ""))
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(://)[^/@\s]+@", r"\1", text)
    text = re.sub(r"(?i)\b(password|passwd|token|secret)=[^&\s'\"]+", r"\1=***", text)
    return " ".join(text.split())


def _passwords(uri: str) -> set[str]:
    """Return the password of a URI in two forms, percent-encoded and decoded."""
    credentials = re.match(r"[^:/]+://([^/]*)@", uri) or re.match(r"[^:/]+://(.*)@", uri)
    password = credentials[1].partition(":")[2] if credentials else ""
    return {password, unquote(password)}

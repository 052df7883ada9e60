"""Secrets are removed from text."""

from __future__ import annotations

import pytest

from isnet.tracking.failure_reason import failure_reason
from isnet.tracking.redaction import redact


def test_secrets_of_the_environment_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:p%40ss/w@host/db")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    text = "p%40ss/w and p@ss/w and Bearer t0ken at\npostgresql://me:p%40ss/w@host/db?password=x"
    shown = redact(text)
    for secret in ("p%40ss", "p@ss", "t0ken", "password=x"):
        assert secret not in shown
    assert "host/db" in shown
    assert "t0ken" not in failure_reason(RuntimeError("strange t0ken"))

"""Fixtures of the tests that train."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from isnet.cli import main


@pytest.fixture
def prepared(checkout: Path, empty_store: Path) -> Path:
    """A checkout whose data are converted, and whose MLflow has its tables."""
    shutil.copy(empty_store, checkout / "mlflow.db")
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "streets"]) == 0
    return checkout

"""Fixtures of the tests that train."""

from __future__ import annotations

from pathlib import Path

import pytest

from isnet.cli import main


@pytest.fixture
def prepared(checkout: Path) -> Path:
    """A checkout whose data are converted."""
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "streets"]) == 0
    return checkout

"""Fixtures of the weights' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from official_models import Case, Official, write_case


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[[Official], Case]:
    """Write the config and the official checkpoint of a model."""
    return lambda model: write_case(model, tmp_path)

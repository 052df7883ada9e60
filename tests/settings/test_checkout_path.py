"""A checkout whose path a part of the pipeline would misread is refused at once; others work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from isnet.errors import UserError
from isnet.settings.layout import Layout
from isnet.settings.params import Params
from isnet.tracking.store_address import store_uri

PARAMS = Params(datasets={}, runs={})


@contextlib.contextmanager
def _checkout(root: Path) -> Iterator[Path]:
    """Make a folder, and work in it."""
    root.mkdir()
    with contextlib.chdir(root):
        yield root


@pytest.mark.parametrize(
    "name", ["with blank", "quote's \"", "a[1]", "a#b", "100%20", "ü 日本", "$x"]
)
def test_the_database_is_in_the_checkout(name: str, tmp_path: Path) -> None:
    with _checkout(tmp_path / name) as root:
        uri = store_uri("sqlite:///mlflow.db", Layout.of(PARAMS).home)
    assert make_url(uri).database == str(root / "mlflow.db")


@pytest.mark.parametrize("name", ["a{b}", "why?", "a:b", "two\nlines"])
def test_a_path_that_is_misread_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    refused = pytest.raises(UserError, match="the path of the project has the character")
    with _checkout(tmp_path / name), refused as error:
        Layout.of(PARAMS)
    assert "\n" not in str(error.value)

"""Fixtures of the transfer's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from downloads import CONTENT, Download
from file_server import FileServer, serving

from isnet.transfer import patience


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(patience, "_FIRST_PAUSE", 0.0)
    with serving() as state:
        state.files["/set.zip"] = CONTENT
        yield state


@pytest.fixture
def download(server: FileServer, tmp_path: Path) -> Download:
    return Download(server, tmp_path)

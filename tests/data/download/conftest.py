"""Fixtures of the data sets' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from download_lab import Lab
from downloads import CONTENT, Download
from file_server import FileServer, serving

from isnet.data.download import retry


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(retry, "_FIRST_PAUSE", 0.0)
    with serving() as state:
        state.files["/set.zip"] = CONTENT
        yield state


@pytest.fixture
def download(server: FileServer, tmp_path: Path) -> Download:
    return Download(server, tmp_path)


@pytest.fixture
def lab(
    checkout: Path,
    server: FileServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Lab:
    for name in ("CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    return Lab(server, tmp_path, capsys)

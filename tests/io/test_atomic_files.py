"""Files are whole or absent, also after a power failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isnet.io.atomic_files import write_text


def test_content_then_name_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def note(handle: int) -> None:
        target = Path(f"/proc/self/fd/{handle}").readlink()
        synced.append((target.name, (tmp_path / "a.txt").exists()))
        real(handle)

    monkeypatch.setattr(os, "fsync", note)
    write_text(tmp_path / "a.txt", "content")
    (file, named_before), folder = synced
    assert file.startswith(".a.")
    assert not named_before
    assert folder == (tmp_path.name, True)


def test_an_error_leaves_the_old_content_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\ud800")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]

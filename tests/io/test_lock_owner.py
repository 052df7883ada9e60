"""Lock files are exclusive, also while their last owner removes them."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from isnet.io.lock_owner import LockedFile


def test_a_file_that_its_owner_removes_in_between_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock, calls = tmp_path / "0.lock", fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        calls.append(how)
        if len(calls) == 1:
            path.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    mine, other = LockedFile(path), LockedFile(path)
    assert mine.acquire() is True
    assert other.acquire() is False
    mine.release()

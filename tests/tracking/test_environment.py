"""The recorded state of the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from isnet.tracking.environment import git_commit


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params.yaml", "dvc.lock", "code.py"):
        (tmp_path / name).write_text("1\n")
    monkeypatch.chdir(tmp_path)
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *identity, *words], check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "dirty"), [("params.yaml", False), ("dvc.lock", False), ("code.py", True)]
)
def test_changed_settings_do_not_make_a_checkout_dirty(
    repository: Path, changed: str, dirty: bool
) -> None:
    (repository / changed).write_text("2\n")
    commit, found = git_commit()
    assert commit
    assert found is dirty

"""The recorded state of the checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from isnet.tracking import environment
from isnet.tracking.environment import git_commit, package_commit


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("params.yaml", "dvc.lock", "code.py"):
        (tmp_path / name).write_text("1\n")
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    _commit()
    return tmp_path


def _commit() -> None:
    for words in (["add", "-A"], ["commit", "-qm", "all"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *identity, *words], check=True)


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


def test_a_project_in_a_part_of_a_repository_has_its_own_settings(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "part").mkdir()
    (repository / "params.yaml").rename(repository / "part/params.yaml")
    _commit()
    monkeypatch.chdir(repository / "part")
    (repository / "part/params.yaml").write_text("2\n")
    assert git_commit()[1] is False
    (repository / "dvc.lock").write_text("2\n")  # of another project
    assert git_commit()[1] is True


def test_the_commit_of_the_package_is_told_in_projects_elsewhere(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = repository / "clone/isnet"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(environment, "_PACKAGE", package)
    assert package_commit() is None  # an environment inside the project
    _commit()
    assert package_commit() is None  # the project is the clone
    commit = git_commit()[0]
    elsewhere = repository.with_name("elsewhere")
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert package_commit() == commit

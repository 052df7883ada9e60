"""Modules beside a config: which files count, and their import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from isnet.errors import UserError
from isnet.settings.local_modules import import_modules, local_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A module, a package, and files that they import."""
    (tmp_path / "own_loss.py").write_text("import torch\nfrom own_parts.focal import GAMMA\n")
    parts = tmp_path / "own_parts"
    parts.mkdir()
    (parts / "__init__.py").write_text("")
    (parts / "focal.py").write_text("from . import shared\nfrom .other import x\nGAMMA = 2\n")
    (parts / "shared.py").write_text("import own_top\n")
    (parts / "other.py").write_text("x = 1\n")
    (tmp_path / "own_top.py").write_text("")
    (tmp_path / "unrelated.py").write_text("")
    return tmp_path


def test_the_files_are_those_that_the_modules_import_from_there(folder: Path) -> None:
    files = [str(file.relative_to(folder)) for file in local_files(["own_loss", "torch"], folder)]
    assert files == [
        "own_loss.py",
        "own_parts/__init__.py",
        "own_parts/focal.py",
        "own_parts/other.py",
        "own_parts/shared.py",
        "own_top.py",
    ]


def test_importing_leaves_the_search_path_as_it_was(folder: Path) -> None:
    before = [*sys.path]
    import_modules(["own_parts.other"], folder)
    assert sys.modules["own_parts.other"].x == 1
    assert sys.path == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            None,
            "own_bad: cannot be imported: ModuleNotFoundError: No module named 'own_bad'. Put own_bad.py into",
        ),
        (
            "import own_missing",
            "own_bad: cannot be imported: ModuleNotFoundError: No module named 'own_missing'. Correct it",
        ),
        ("1 / 0", "own_bad: cannot be imported: ZeroDivisionError: division by zero. Correct it"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    tmp_path: Path, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / "own_bad.py").write_text(text)
    with pytest.raises(UserError, match=message):
        import_modules(["own_bad"], tmp_path)


def test_a_module_of_another_folder_with_the_same_name_is_refused(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own_twin.py").write_text("")
    import_modules(["own_twin"], tmp_path / "first")
    with pytest.raises(UserError, match=r"another module of this name .*first.*Rename .*second"):
        import_modules(["own_twin"], tmp_path / "second")


def test_broken_syntax_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "own_broken.py").write_text("def")
    with pytest.raises(UserError, match=r"own_broken\.py: is no Python"):
        local_files(["own_broken"], tmp_path)

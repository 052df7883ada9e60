"""The wheel has the same files of a project as the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from repository import REPOSITORY

from isnet.settings.project_files import USER_FILES, WHEEL_FOLDER, WORKFLOW_FILES, find_files


def test_the_wheel_has_the_project_files_of_the_repository(tmp_path: Path) -> None:
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(build, cwd=REPOSITORY, check=True, capture_output=True)
    built = tmp_path / "isnet" / WHEEL_FOLDER
    expected = find_files(REPOSITORY, *USER_FILES, *WORKFLOW_FILES)
    names = {file.relative_to(built).as_posix() for file in built.rglob("*") if file.is_file()}
    assert names == set(expected)
    for name, file in expected.items():
        assert (built / name).read_bytes() == file.read_bytes(), name

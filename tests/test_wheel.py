"""The wheel has the files of a project, and trains without the packages of any extra."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import REPOSITORY

from isnet.extras import EXTRAS, install_command
from isnet.settings.project_files import USER_FILES, WHEEL_FOLDER, WORKFLOW_FILES, find_files

STAGES = """
import os, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import importlib.util
usual = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {absent!r} else usual(name, package)
import isnet
from isnet.cli import main

assert isnet.__file__.startswith({wheel!r})
assert main(["new", "a project"]) == 0
os.chdir("a project")
with open("params.yaml", "w") as file:
    file.write({params!r})
for stage in ("download", "convert"):
    assert main([stage, "--dataset", "streets"]) == 0, stage
for stage in ("train", "evaluate"):
    assert main([stage, "--run", "one"]) == 0, stage
assert main(["report"]) == 0
assert main(["predict", "results/runs/one/train/weights.pth", "data"]) == 0
assert main(["track", "sync"]) == 2
loaded = set(sys.modules) & set({absent!r})
assert not loaded, loaded
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the wheel, without its metadata."""
    folder, metadata = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("metadata")
    build = ("egg_info", "--egg-base", metadata, "build_py", "--build-lib", folder)
    command = [sys.executable, "setup.py", "-q", *build]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return folder


def test_the_wheel_has_the_project_files_of_the_repository(wheel: Path) -> None:
    built = wheel / "isnet" / WHEEL_FOLDER
    expected = find_files(REPOSITORY, *USER_FILES, *WORKFLOW_FILES)
    names = {file.relative_to(built).as_posix() for file in built.rglob("*") if file.is_file()}
    assert names == set(expected)
    for name, file in expected.items():
        assert (built / name).read_bytes() == file.read_bytes(), name


def test_an_sdist_has_them_too(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    listed = (tmp_path / "isnet.egg-info/SOURCES.txt").read_text().splitlines()
    assert set(find_files(REPOSITORY, *USER_FILES, *WORKFLOW_FILES)) <= set(listed)


@pytest.mark.engines
def test_the_wheel_trains_scores_and_predicts_without_any_extra(
    wheel: Path, checkout: Path, tmp_path: Path
) -> None:
    absent = {name.replace("-", "_") for names in EXTRAS.values() for name in names}
    params = (checkout / "params.yaml").read_text().partition("  two:\n")[0]
    params = params.replace("{max_iters: 6, val_interval: 3}", "{max_iters: 2, val_interval: 2}")
    done = subprocess.run(
        [sys.executable, "-c", STAGES.format(absent=absent, wheel=str(wheel), params=params)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = f"isnet: mlflow is not installed. Run {install_command('mlflow')}\n"
    assert told in done.stderr
    assert "Traceback" not in done.stderr

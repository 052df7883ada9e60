"""A killed conversion resumes; a stopped one leaves no process running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from damage import write_camvid
from own_data import OwnData

from isnet.cli import main
from isnet.data.convert.dataset_conversion import convert_dataset
from isnet.io.atomic_files import sha256_of
from isnet.pipeline.stage_files import read_source
from isnet.settings.dataset_lookup import description_of, table_of
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

PARAMS = """\
datasets:
  camvid: {{kind: camvid, source: {source}}}
runs:
  one: {{dataset: camvid, config: isnet/configs/isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py}}
"""
COMMAND = ["convert", "--dataset", "camvid"]


@pytest.fixture
def large(checkout: Path, tmp_path: Path) -> Path:
    """A checkout with a data set that takes seconds to convert; returns its folder."""
    source = tmp_path / "camvid"
    write_camvid(source, train=40, val=8, size=(1280, 960))
    (checkout / "params.yaml").write_text(PARAMS.format(source=source))
    assert main(["download", "--dataset", "camvid"]) == 0
    return source


SLOW_DISK = """\
import os, time
fsync = os.fsync
os.fsync = lambda descriptor: (time.sleep(0.1), fsync(descriptor))[1]
"""
"""Loaded by Python at its start: a fast machine would be through before a signal comes."""


def _begin() -> subprocess.Popen[str]:
    """Start a conversion in a session of its own, and wait until some labels are converted."""
    slow = Path("slow")
    slow.mkdir(exist_ok=True)
    (slow / "sitecustomize.py").write_text(SLOW_DISK)
    path = os.environ.get("PYTHONPATH", "")
    process = subprocess.Popen(
        [sys.executable, "-m", "isnet", *COMMAND],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "2", "PYTHONPATH": f"{slow.resolve()}:{path}"},
    )
    while len(_noted()) < 6:
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    return process


def _noted() -> list[dict]:
    """Return the whole lines of the record, less its head."""
    files = list(Path("data/camvid").glob("*/labels.jsonl"))
    if not files:
        return []
    whole = files[0].read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()[1:]]


def _alive(session: int) -> list[str]:
    """Return the processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its_session) == session and state != "Z":
            found.append(stat.parent.name)
    return found


def _wait_until_none_is_alive(session: int) -> None:
    until = time.monotonic() + 20
    while alive := _alive(session):
        assert time.monotonic() < until, f"processes {alive} are left"
        time.sleep(0.05)


def _files(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256_of(path) for path in paths}


def _ruin_keeping_stamps(path: Path) -> None:
    facts = path.stat()
    path.write_bytes(b"x" * facts.st_size)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _convert_here() -> tuple[object, list[tuple[int, int]]]:
    """Convert without what the stage does with the images afterwards; return also the progress."""
    plan = Plan.of(load_params())
    settings = plan.params.datasets["camvid"]
    progress = []
    made = convert_dataset(
        read_source(plan, "camvid"),
        plan.dataset_key("camvid"),
        description_of(settings),
        table_of(settings),
        data=plan.layout.data,
        workers=2,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    return made, progress


def test_a_killed_conversion_resumes_and_decodes_nothing_twice(large: Path) -> None:
    process = _begin()
    process.kill()
    process.wait()
    _wait_until_none_is_alive(process.pid)
    done = [entry["job"] for entry in _noted()]
    assert 6 <= len(done) < 48
    with next(Path("data/camvid").glob("*/labels.jsonl")).open("a") as record:
        record.write('{"job":{"image":"train/sc')  # as a kill may leave it
    labels = next(Path("data/camvid").glob("*/labels"))
    (labels / "train/.scene_0.left.png").touch()
    whole = shutil.copytree(large, large.parent / "whole")
    for job in done:  # whoever reads them again stops
        _ruin_keeping_stamps(large / job["image"])
        _ruin_keeping_stamps(large / job["label"])
    resumed, progress = _convert_here()
    assert progress[0] == (len(done), 48)
    made = _files(labels)
    assert _convert_here() == (resumed, [(48, 48)])

    shutil.rmtree(large)
    shutil.copytree(whole, large)
    shutil.rmtree(labels.parent)
    assert main(["download", "--dataset", "camvid"]) == 0
    uninterrupted, progress = _convert_here()
    assert progress[0] == (0, 48)
    assert resumed == uninterrupted
    assert _files(labels) == made
    assert len(made) == 48


def test_ctrl_c_stops_all_processes_with_one_line_and_the_command_resumes(large: Path) -> None:
    process = _begin()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "isnet: stopped"
    _wait_until_none_is_alive(process.pid)
    labels = next(Path("data/camvid").glob("*/labels"))
    assert not list(labels.rglob(".*"))
    before = {
        entry["job"]["target"]: (labels / entry["job"]["target"]).stat().st_mtime_ns
        for entry in _noted()
    }
    assert main(COMMAND) == 0
    assert before == {target: (labels / target).stat().st_mtime_ns for target in before}


def _own(tmp_path: Path) -> OwnData:
    own = OwnData(tmp_path)
    for name in ("one", "two"):
        own.write("train", name)
    own.write("val", "one")
    own.convert()
    own.progress.clear()
    return own


def _touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda own: _touch(own.image("train", "two")),
        lambda own: _touch(own.label("train", "two")),
        lambda own: (own.labels / "train/two.png").unlink(),
        lambda own: (own.labels / "train/two.png").write_bytes(b"short"),
    ],
)
def test_only_what_changed_is_converted_again(
    change: Callable[[OwnData], None], tmp_path: Path
) -> None:
    own = _own(tmp_path)
    before = _files(own.labels)
    change(own)
    own.convert()
    assert own.progress == [(2, 3), (3, 3)]
    assert _files(own.labels) == before
    own.progress.clear()
    own.convert()
    assert own.progress == [(3, 3)]


def test_another_table_starts_again(tmp_path: Path) -> None:
    own = _own(tmp_path)
    other = OwnData(tmp_path, classes=["ground", "dog", "cat"])
    other.convert()
    assert other.progress[0] == (0, 3)
    assert own.table.digest != other.table.digest


def test_labels_of_images_that_are_gone_are_removed(tmp_path: Path) -> None:
    own = _own(tmp_path)
    own.image("train", "two").unlink()
    own.label("train", "two").unlink()
    own.convert()
    assert sorted(_files(own.labels)) == ["train/one.png", "val/one.png"]


def test_lines_that_a_failing_disk_spoilt_are_converted_again(tmp_path: Path) -> None:
    own = _own(tmp_path)
    record = own.labels.with_suffix(".jsonl")
    lines = record.read_bytes().splitlines(keepends=True)
    record.write_bytes(b"".join([lines[0], lines[1], b"\0" * 30 + b"\n", lines[3]]))
    own.convert()
    assert own.progress == [(2, 3), (3, 3)]

"""Checkpoints: a kill, damage or a full disk costs at most what was not saved yet."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from forked_commands import ForkedCommand, code_of_call
from log_lines import record_log, stop_recording

from isnet.checkpoints.checkpoint_folder import CheckpointFolder, save_torch
from isnet.errors import UserError
from isnet.io.atomic_files import digest_of

KEY = "5eed"


def _state(iteration: int, phase: int = 0, size: int = 1000) -> dict[str, Any]:
    weights = torch.arange(size, dtype=torch.float32) + iteration * 10 + phase
    return {"iteration": iteration, "phase": phase, "model": {"w": weights}}


def _is_whole(state: dict[str, Any]) -> bool:
    weights = state["model"]["w"]
    return torch.equal(
        weights, _state(state["iteration"], state["phase"], len(weights))["model"]["w"]
    )


def _newest(folder: Path, key: str = KEY) -> tuple[int | None, list[str]]:
    said = record_log()
    state = CheckpointFolder(folder, key).newest()
    stop_recording()
    assert state is None or _is_whole(state)
    return state and state["iteration"], said


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _pairs(*iterations: int) -> list[str]:
    return [f"iteration-{n}.{kind}" for n in iterations for kind in ("json", "pth")]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with checkpoints of the iterations 2 and 3; 1 was dropped."""
    folder = CheckpointFolder(tmp_path / "checkpoints", KEY)
    for iteration in (1, 2, 3):
        folder.save(iteration, _state(iteration))
    return folder.folder


def test_the_last_ones_stay_and_the_newest_wins(saved: Path) -> None:
    assert _names(saved) == _pairs(2, 3)
    assert _newest(saved) == (3, [])


def test_a_training_without_checkpoints_starts_without_a_word(tmp_path: Path) -> None:
    assert _newest(tmp_path / "nothing") == (None, [])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def _tear(path: Path) -> None:
    """The length is there, the end is not: what a power failure leaves on some file systems."""
    size = path.stat().st_size
    os.truncate(path, size // 2)
    os.truncate(path, size)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _swap(path: Path) -> None:
    """The checkpoint of another iteration, with its hash, under this name."""
    for suffix in (".pth", ".json"):
        shutil.copyfile(path.with_name(f"iteration-2{suffix}"), path.with_suffix(suffix))


def _swap_file(path: Path) -> None:
    shutil.copyfile(path.with_name("iteration-2.pth"), path)


def _swap_training(path: Path) -> None:
    other = CheckpointFolder(path.parent / "other", "0ff")
    other.save(3, _state(3))
    for kind in ("json", "pth"):
        (other.folder / f"iteration-3.{kind}").replace(path.with_suffix(f".{kind}"))
    other.folder.rmdir()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (_cut, "it is truncated, 5"),
    "empty": (lambda path: path.write_bytes(b""), "it is truncated, 0 of 5"),
    "torn": (_tear, "its content is not what was saved"),
    "bit": (_flip, "its content is not what was saved"),
    "another iteration": (_swap, "iteration-3.json is of iteration 2"),
    "another iteration's file": (_swap_file, "its content is not what was saved"),
    "another training": (_swap_training, "it belongs to another training"),
    "no hash": (
        lambda path: path.with_suffix(".json").unlink(),
        "its hash is unknown, there is no iteration-3.json",
    ),
    "hash cut": (
        lambda path: os.truncate(path.with_suffix(".json"), 50),
        "its hash is unknown, iteration-3.json is damaged",
    ),
    "hash not JSON's": (
        lambda path: path.with_suffix(".json").write_text("[]"),
        "its hash is unknown, iteration-3.json is damaged",
    ),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(saved: Path, damage: str) -> None:
    inflict, why = DAMAGES[damage]
    inflict(saved / "iteration-3.pth")
    iteration, said = _newest(saved)
    assert iteration == 2
    (line,) = said
    assert line.startswith(f"{saved / 'iteration-3.pth'} is skipped: {why}")


def test_no_flipped_byte_of_the_hash_file_is_believed(saved: Path) -> None:
    path = saved / "iteration-3.json"
    content = path.read_bytes()
    end = len(content) - 1  # white space that nobody reads
    for at in range(end):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        believed = CheckpointFolder(saved, KEY).newest()
        assert believed is not None and believed["iteration"] == 2, chr(content[at])


def test_without_a_good_one_training_starts_anew_and_says_so(saved: Path) -> None:
    for iteration in (2, 3):
        _cut(saved / f"iteration-{iteration}.pth")
    iteration, said = _newest(saved)
    assert iteration is None
    assert len(said) == 3
    assert said[-1] == f"{saved} has no valid checkpoint: training starts from the beginning"


def test_what_is_passed_over_never_displaces_a_good_one(saved: Path) -> None:
    CheckpointFolder(saved, KEY, keep=4).save(5, _state(5))
    CheckpointFolder(saved, KEY, keep=4).save(7, _state(7))
    for iteration in (3, 5, 7):
        _flip(saved / f"iteration-{iteration}.pth")
    folder = CheckpointFolder(saved, KEY)
    state = folder.newest()
    assert state is not None and state["iteration"] == 2
    folder.save(4, _state(4))
    assert _names(saved) == _pairs(2, 4, 5, 7)
    assert _newest(saved)[0] == 4
    folder.save(5, _state(5))
    folder.save(8, _state(8))
    assert _names(saved) == _pairs(5, 8)


def test_a_checkpoint_of_another_version_is_not_thrown_away(saved: Path) -> None:
    path = saved / "iteration-3.json"
    said = {**json.loads(path.read_text()), "version": 3}
    del said["check"]
    path.write_text(json.dumps({**said, "check": digest_of(said)}))
    with pytest.raises(UserError, match=r"this installation cannot load it: its version is 3"):
        _newest(saved)


def test_a_state_that_could_not_be_resumed_is_refused_when_it_is_saved(saved: Path) -> None:
    with pytest.raises(Exception, match="weights_only"):
        CheckpointFolder(saved, KEY).save(4, {"iteration": 4, "score": np.float64(0.5)})
    assert {"iteration-2.pth", "iteration-3.pth"} <= set(_names(saved))


def test_only_remains_of_killed_processes_are_removed(saved: Path) -> None:
    folder = CheckpointFolder(saved, KEY)
    old = [".iteration-4.abcd1234.pth", ".iteration-4.efgh5678.json", "iteration-9.json"]
    new = [".iteration-5.abcd1234.pth", "notes.txt"]
    for name in old + new:
        (saved / name).write_bytes(b"x")
    for name in [*old, "notes.txt"]:
        os.utime(saved / name, (1, 1))
    os.utime(saved / new[0], (time.time() + 1,) * 2)
    folder.newest()
    assert _names(saved) == sorted([*_pairs(2, 3), *new])


def test_a_kill_between_the_two_files_of_an_iteration_saved_again_costs_nothing(
    saved: Path,
) -> None:
    path = saved / "iteration-3.pth"
    for before, after in ((0, 1), (0, 2), (2, 3)):
        if before:
            CheckpointFolder(saved, KEY).save(3, _state(3, before))
        killed_before = path.read_bytes()
        CheckpointFolder(saved, KEY).save(3, _state(3, after))
        path.write_bytes(killed_before)  # the hash file is the new one's
        state = CheckpointFolder(saved, KEY).newest()
        assert state is not None
        assert (state["iteration"], state["phase"]) == (3, before)


def _save_on(folder: Path, log: Path) -> None:
    """Train on: save each iteration twice, as before and after a validation, and note each save."""
    checkpoints = CheckpointFolder(folder, KEY)
    state = checkpoints.newest()
    start = state["iteration"] if state else 1
    with log.open("a") as notes:
        for iteration in range(start, 10**6):
            for phase in (0, 1):
                checkpoints.save(iteration, _state(iteration, phase, 1_000_000))
                notes.write(f"{iteration} {phase}\n")
                notes.flush()


def test_a_kill_at_any_moment_loses_no_completed_save(tmp_path: Path) -> None:
    folder, log = tmp_path / "checkpoints", tmp_path / "log"
    draw = random.Random(0)
    remains = 0
    for _ in range(8):
        noted = log.stat().st_size if log.exists() else 0
        saver = ForkedCommand(code=code_of_call(_save_on, folder, log))
        end = time.monotonic() + 200
        while not log.exists() or log.stat().st_size == noted:
            assert saver.poll() is None and time.monotonic() < end
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.1))
        saver.kill()
        saver.wait()
        remains += any(name.startswith(".") for name in _names(folder))
        completed = [int(word) for word in log.read_text().splitlines()[-1].split()]

        said = record_log()
        state = CheckpointFolder(folder, KEY).newest()
        stop_recording()
        assert state is not None
        assert said == []
        assert _is_whole(state)
        assert [state["iteration"], state["phase"]] >= completed
        assert not any(name.startswith(".") for name in _names(folder))
        assert len(list(folder.glob("*.pth"))) <= 3
    assert remains, "no kill came while a file was written"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    refused = shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode
    if refused and "CI" in os.environ and os.geteuid() == 0:
        pytest.fail("CI runs as root, and may not mount a tmpfs")
    if refused:
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_leaves_what_was_there_and_says_what_is_needed(
    small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = CheckpointFolder(small_disk, KEY)
    folder.save(1, _state(1, size=150_000))
    path = small_disk / "iteration-2.pth"
    with pytest.raises(UserError) as refused:
        folder.save(2, _state(2, size=150_000))
    assert str(refused.value).startswith(f"{path}: the disk is full: it needs 60")
    assert str(refused.value).endswith(
        " kB are free. Free some space there; the same command then continues"
    )
    assert _names(small_disk) == _pairs(1)
    assert _newest(small_disk) == (1, [])
    assert capfd.readouterr() == ("", "")

    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    folder.save(2, _state(2, size=150_000))
    assert _newest(small_disk) == (2, [])


def test_a_disk_that_is_full_for_the_hash_alone_leaves_what_was_there(small_disk: Path) -> None:
    folder = CheckpointFolder(small_disk, KEY)
    folder.save(1, _state(1))
    size = (small_disk / "iteration-1.pth").stat().st_size
    free = shutil.disk_usage(small_disk).free
    pages = -(-size // 4096) * 4096
    (small_disk / "others").write_bytes(b"x" * (free - pages))
    with pytest.raises(UserError, match="the disk is full"):
        folder.save(2, _state(2))
    assert _names(small_disk) == [*_pairs(1), "others"]
    assert _newest(small_disk) == (1, [])


def test_full_disks_spare_the_best_weights(small_disk: Path) -> None:
    best = small_disk / "best.pth"
    save_torch(best, {"state_dict": {"w": torch.ones(10)}})
    with pytest.raises(UserError, match="the disk is full"):
        save_torch(best, {"state_dict": {"w": torch.ones(1_000_000)}})
    assert torch.equal(torch.load(best)["state_dict"]["w"], torch.ones(10))
    assert _names(small_disk) == ["best.pth"]


def test_a_disk_that_can_only_be_read_is_named(small_disk: Path) -> None:
    folder = CheckpointFolder(small_disk, KEY)
    folder.save(1, _state(1))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(UserError, match=r"iteration-2\.pth: the disk is read-only"):
        folder.save(2, _state(2))
    assert _newest(small_disk) == (1, [])


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may be larger than 100 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_limit_of_file_sizes_leaves_what_was_there(saved: Path, small_files: None) -> None:
    folder = CheckpointFolder(saved, KEY)
    with pytest.raises(
        UserError, match=r"iteration-4\.pth: a file of that size is not allowed here: it needs 4"
    ):
        folder.save(4, _state(4, size=100_000))
    assert _names(saved) == _pairs(2, 3)
    assert _newest(saved) == (3, [])


def test_an_interruption_while_torch_writes_stays_what_it_is(saved: Path) -> None:
    """torch would make a RuntimeError of it."""

    def interrupt(frame: FrameType, event: str, called: Any) -> None:
        writing = event == "c_call" and frame.f_code.co_name == "write"
        if writing and called.__name__ == "update" and frame.f_locals["self"].size > 2000:
            raise KeyboardInterrupt  # as a handler does that runs before this line

    sys.setprofile(interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            CheckpointFolder(saved, KEY).save(4, _state(4))
    finally:
        sys.setprofile(None)
    assert _names(saved) == _pairs(2, 3)
    assert _newest(saved) == (3, [])

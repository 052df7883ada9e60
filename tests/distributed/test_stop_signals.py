"""Stop signals to any process of a training: it saves, prints one line, and leaves no orphans."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from process_tree import Tree, wait_for

from isnet.checkpoints.checkpoint_folder import CheckpointFolder
from isnet.cli import main
from isnet.distributed.stop_signals import ABORTED, INTERRUPTED

Edit = Callable[[str, str], None]
Start = Callable[..., Tree]


@pytest.fixture
def start(prepared: Path) -> Iterator[Start]:
    """Starts trainings of run `one`; kills what is left of them."""
    trees: list[Tree] = []

    def begin(*, forked: bool = True, **environment: str) -> Tree:
        told = prepared / f"told-{len(trees)}.txt"
        command = ("train", "--run", "one") if forked else ("isnet", "train", "--run", "one")
        trees.append(Tree(*command, told=told, forked=forked, **environment))
        return trees[-1]

    yield begin
    for tree in trees:
        tree.kill()


def _work() -> Path:
    return next(Path("work/runs/one").iterdir())


def _steps() -> int:
    """Number of records in the journals."""
    return sum(len(file.read_text().splitlines()) for file in Path("work").rglob("journal.jsonl"))


def _checkpoints() -> list[str]:
    return sorted(file.name for file in Path("work").rglob("iteration-*.pth"))


def _long(edit: Edit, *, processes: int = 1, workers: int = 0) -> None:
    """Make the training longer than the test, with a record of each step."""
    edit("max_iters: 6, val_interval: 3", "max_iters: 99, val_interval: 99")
    if processes > 1:
        edit("devices: cpu", f"devices: cpu:{processes}")
    if workers:
        edit("train_dataloader: {", f"train_dataloader: {{num_workers: {workers}, ")


WITH_WORKER = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
"""Cores for the network and a data worker beside it."""


UPLOADER = 1
"""The process that uploads to MLflow."""


def _assert_stopped(tree: Tree) -> None:
    """Check the documented exit code, and one line of output."""
    assert tree.end() == INTERRUPTED, tree.told
    assert "Traceback" not in tree.told
    assert "Error" not in tree.told
    assert tree.told.count("the same command continues") == 1, tree.told


@pytest.mark.parametrize(
    ("number", "target", "processes"),
    [
        (signal.SIGTERM, "group", 1),
        pytest.param(signal.SIGINT, "group", 2, marks=pytest.mark.soak),
        pytest.param(signal.SIGUSR1, "process", 2, marks=pytest.mark.soak),
        (signal.SIGURG, "rank 1", 2),
    ],
)
def test_a_signal_saves_a_checkpoint_and_is_named(
    start: Start, edit: Edit, number: signal.Signals, target: str, processes: int
) -> None:
    _long(edit, processes=processes, workers=processes == 1)
    tree = start(**(WITH_WORKER if processes == 1 else {}))
    wait_for(_steps, "a step")
    assert len(tree.members()) == 1 + (1 if processes == 1 else processes) + UPLOADER
    tree.send(number, target)
    _assert_stopped(tree)
    assert f"by {number.name}" in tree.told or "by a signal to another rank" in tree.told
    assert len(_checkpoints()) == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_a_signal_during_the_start_ends_it(start: Start, edit: Edit, processes: int) -> None:
    _long(edit, processes=processes)
    tree = start(forked=False)
    if processes > 1:
        tree.rank(1)
    else:
        wait_for(lambda: list(Path("work").rglob("lock")), "the lock")
    tree.send(signal.SIGTERM, "process")
    _assert_stopped(tree)
    assert not _checkpoints()


def test_a_second_interrupt_ends_at_once(start: Start, edit: Edit) -> None:
    _long(edit, processes=2)
    tree = start()
    wait_for(_steps, "a step")
    os.kill(tree.rank(0), signal.SIGSTOP)  # after the first one, all others wait for it
    tree.send(signal.SIGINT, "group")
    time.sleep(1)
    assert tree.members()
    tree.send(signal.SIGINT, "group")
    assert tree.end() == ABORTED, tree.told
    assert "Traceback" not in tree.told
    assert tree.told.count("stopped at once") == 1


def test_no_rank_outlives_the_launcher(start: Start, edit: Edit) -> None:
    _long(edit, processes=2)
    tree = start()
    wait_for(_steps, "a step")
    tree.send(signal.SIGKILL, "process")
    assert tree.end() == -signal.SIGKILL


def test_data_workers_end_with_a_killed_training(start: Start, edit: Edit) -> None:
    _long(edit, workers=1)
    tree = start(**WITH_WORKER)
    wait_for(_steps, "a step")
    assert len(tree.members()) == 2 + UPLOADER
    tree.send(signal.SIGKILL, "process")
    assert tree.end() == -signal.SIGKILL


def test_a_killed_rank_is_named_and_ends_the_others(start: Start, edit: Edit) -> None:
    _long(edit, processes=2)
    tree = start()
    wait_for(_steps, "a step")
    rank = tree.rank(1)
    tree.send(signal.SIGKILL, "rank 1")
    assert tree.end() == 1
    line = f"isnet: rank 1 (pid {rank}) was killed by SIGKILL (out of memory?)"
    assert line in tree.told.splitlines()
    assert "Traceback" not in tree.told
    assert tree.told.count("isnet:") == 1


def test_a_stopped_validation_is_done_again(start: Start, edit: Edit) -> None:
    edit("max_iters: 6, val_interval: 3", "max_iters: 3, val_interval: 2")
    edit("val: 4", "val: 30")  # validated for long enough to be stopped
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "streets"]) == 0
    tree = start()
    assert tree.end() == 0, tree.told
    weights, told = _weights(), _journal()
    subprocess.run(["rm", "-r", "work/runs", "results/runs"], check=True)

    tree = start()
    wait_for(lambda: _steps() == 2, "two steps")
    tree.send(signal.SIGTERM, "process")
    _assert_stopped(tree)
    state = CheckpointFolder(_work() / "checkpoints", _work().name).newest()
    assert state is not None
    assert (state["iteration"], state["validation_due"]) == (2, True)

    tree = start()
    assert tree.end() == 0, tree.told
    resumed = _weights()
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)
    assert _journal() == told


def _weights() -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load("results/runs/one/train/weights.pth")["state_dict"]
    return state


def _journal() -> list[dict[str, Any]]:
    """Return all records without the values that depend on time."""
    timing = ("time", "images_per_second", "data_wait", "memory_gb")
    records = map(json.loads, (_work() / "journal.jsonl").read_text().splitlines())
    return [{key: row[key] for key in row if key not in timing} for row in records]

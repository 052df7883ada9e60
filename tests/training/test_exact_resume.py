"""An interrupted training ends as an undisturbed one: on one process, on two, and on others."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked_commands import ForkedCommand, run_forked
from process_tree import wait_for

Edit = Callable[[str, str], None]
TRAIN = ("train", "--run", "one")


def train(threads: int = 1) -> str:
    """Train to the end; return what was said."""
    done = run_forked(*TRAIN, OMP_NUM_THREADS=str(threads))
    assert done.returncode == 0, done.stdout
    return done.stdout


def checkpoints() -> set[str]:
    return {file.name for file in Path("work").glob("runs/one/*/checkpoints/iteration-*.json")}


def killed_after(seconds: float, *, saved: bool) -> bool:
    """Train, and kill the whole tree after so long; say whether it still ran.

    The time counts from the start of the process, or (`saved`) from its first checkpoint.
    """
    before = checkpoints()
    process = ForkedCommand(*TRAIN, told=Path("told.txt"))
    if saved:
        wait_for(lambda: process.poll() is not None or checkpoints() - before, "a checkpoint")
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    assert process.returncode == 0, process.told
    return False


def outcome() -> dict[str, Any]:
    """All that a training leaves and that must not depend on interruptions."""
    results = Path("results/runs/one/train")
    loaded = torch.load(results / "weights.pth")
    timing = {"images_per_second", "data_wait", "memory_gb"}
    rows = [line.split(",") for line in (results / "curves.csv").read_text().splitlines()]
    kept = [place for place, name in enumerate(rows[0]) if name not in timing]
    return {
        "weights": loaded["state_dict"],
        "curves": [[row[place] for place in kept] for row in rows],
        "validation": (results / "validation.csv").read_text(),
        "best": json.loads((results / "train.json").read_text())["best"],
    }


def forget() -> None:
    for folder in ("work/runs", "results/runs"):
        shutil.rmtree(folder)


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    weights, others = one.pop("weights"), other.pop("weights")
    assert one == other
    assert weights.keys() == others.keys()
    assert [name for name in weights if not torch.equal(weights[name], others[name])] == []


@pytest.mark.parametrize(
    ("devices", "times"),
    [
        ("cpu", 3),
        ("cpu:2", 2),
        pytest.param("cpu", 25, marks=pytest.mark.soak),
        pytest.param("cpu:2", 25, marks=pytest.mark.soak),
    ],
)
@pytest.mark.timeout(3600)
def test_killed_at_random_moments_it_ends_with_the_very_bits(
    devices: str, times: int, prepared: Path, edit: Edit
) -> None:
    edit("devices: cpu", f"devices: {devices}")
    length = 8 * times
    edit("max_iters: 6, val_interval: 3", f"max_iters: {length}, val_interval: 8")
    begun = time.monotonic()
    train()
    whole = time.monotonic() - begun
    undisturbed = outcome()
    forget()
    # Each attempt gets on by a few steps: many more kills than steps would be no end.
    dice = random.Random(devices)
    kills = 0
    for number in range(times):
        kills += killed_after(dice.uniform(0.1, min(whole, 12)), saved=number % 2 == 0)
    train()
    assert kills, "nothing was killed"
    assert "resumes at iteration" in Path("logs/train/one.log").read_text()
    print(f"{kills} kills in {length} iterations on {devices}")
    assert_equal(outcome(), undisturbed)


def test_the_number_of_workers_changes_no_bit(prepared: Path, edit: Edit) -> None:
    """Of as many threads: torch sums in another order with each number of them."""
    train(threads=3)
    without = outcome()
    forget()
    edit("train_dataloader: {", "train_dataloader: {num_workers: 2, ")
    train(threads=3)
    assert_equal(outcome(), without)


def test_on_other_devices_it_goes_on_with_the_same_global_batch(prepared: Path, edit: Edit) -> None:
    """From one process to two: the losses stay those of the undisturbed training, nearly; each
    process takes the mean over its own labelled pixels.
    """
    edit("max_iters: 6, val_interval: 3", "max_iters: 10, val_interval: 10")
    # With a small step the curves compare: at the start a large one makes any difference grow.
    edit("overrides:\n", "overrides:\n      optim_wrapper: {optimizer: {lr: 0.0005}}\n")
    no_dropout = "{dropout_ratio: 0.0}"
    edit("model: {", f"model: {{decode_head: {no_dropout}, auxiliary_head: {no_dropout}, ")
    train()
    undisturbed = outcome()
    forget()
    process = ForkedCommand(*TRAIN, told=Path("told.txt"))
    while not list(Path("work").glob("runs/one/*/checkpoints/iteration-4.*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    assert process.wait(60) == 75, process.told
    edit("devices: cpu", "devices: cpu:2")
    told = train()
    assert (
        "resumes on 2 processes, 1 micro-batch per step (was 1 process, 1 micro-batch per step)"
        in told
    )
    moved = outcome()
    loss = moved["curves"][0].index("loss")
    pairs = zip(moved["curves"][1:], undisturbed["curves"][1:], strict=True)
    for row, other in pairs:
        assert float(row[loss]) == pytest.approx(float(other[loss]), rel=0.03), row

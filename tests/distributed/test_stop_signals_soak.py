"""Any stop signal, to any process of a training, at any moment: `pytest -m soak`."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from process_tree import Tree

from isnet.distributed.stop_signals import INTERRUPTED, STOP_SIGNALS

Edit = Callable[[str, str], None]

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

ATTEMPTS = 40


@pytest.fixture
def trees() -> Iterator[list[Tree]]:
    """Process trees to kill after the test."""
    started: list[Tree] = []
    yield started
    for tree in started:
        tree.kill()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_stopped_many_times_ends_with_the_same_weights(
    prepared: Path, edit: Edit, trees: list[Tree], processes: int
) -> None:
    if processes > 1:
        edit("devices: cpu", f"devices: cpu:{processes}")
    edit("max_iters: 6, val_interval: 3", "max_iters: 30, val_interval: 4")
    weights = _finished(_train(prepared, trees))
    subprocess.run(["rm", "-r", "work/runs", "results/runs"], check=True)

    chance = random.Random(processes)
    targets = ["process", "group"]
    if processes > 1:
        targets += [f"rank {rank}" for rank in range(processes)]
    for attempt in range(ATTEMPTS):
        tree = _train(prepared, trees)
        number, target = STOP_SIGNALS[attempt % len(STOP_SIGNALS)], chance.choice(targets)
        time.sleep(chance.uniform(0.2, 12))
        if tree.process.poll() is None:
            tree.send(number, target)
        code = tree.end(120)
        said = f"{signal.Signals(number).name} to {target}: {code}\n{tree.told}"
        assert code in (0, INTERRUPTED), said
        assert "Traceback" not in tree.told, said
        assert code == 0 or tree.told.count("the same command continues") == 1, said
        if code == 0:
            break
    resumed = _finished(_train(prepared, trees))
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)


def _train(folder: Path, trees: list[Tree]) -> Tree:
    told = folder / f"told-{len(trees)}.txt"
    trees.append(Tree("isnet", "train", "--run", "one", told=told))
    return trees[-1]


def _finished(tree: Tree) -> dict[str, torch.Tensor]:
    assert tree.end(600) == 0, tree.told
    file = Path("results/runs/one/train/weights.pth")
    weights: dict[str, torch.Tensor] = torch.load(file)["state_dict"]
    return weights

"""Which validation's weights are kept as the best ones."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_jobs import small_job
from torch import nn

from isnet.checkpoints.checkpoint_folder import CheckpointFolder
from isnet.checkpoints.weights_formats import open_weights
from isnet.distributed.stop_signals import StopRequest
from isnet.training.hooks.checkpoint_hook import CheckpointHook
from isnet.training.optim_wrappers import GuardedOptimWrapper

VALIDATIONS = [
    {"mIoU": 0.3, "mDice": 0.4, "mFscore": math.nan},
    {"mIoU": 0.2, "mDice": 0.6, "mFscore": 0.1},
    {"mIoU": 0.4, "mDice": 0.5, "mFscore": 0.1},
]


class _Run:
    """A training by hand, with what the hook reads of a Runner."""

    param_schedulers = ()

    def __init__(self) -> None:
        self.iter = 0
        self.train_loop = SimpleNamespace(stop_training=False)
        self.model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.optim_wrapper = GuardedOptimWrapper(optimizer=optimizer)


@pytest.mark.parametrize(
    ("settings", "metric", "expected"),
    [({}, "mIoU", 3), ({"best": "mDice"}, "mDice", 2), ({"best": "mFscore"}, "mFscore", 2)],
)
def test_the_best_weights_are_those_of_the_highest_chosen_score(
    settings: dict[str, Any],
    metric: str,
    expected: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first of equal scores, and never one that does not exist; a resume knows the score."""
    monkeypatch.chdir(tmp_path)
    job, folder = small_job(2, 2, **settings), CheckpointFolder(tmp_path / "checkpoints", "key")
    hook = CheckpointHook(job, folder, None, StopRequest(), {})
    run: Any = _Run()
    for number, scores in enumerate(VALIDATIONS, 1):
        run.iter = number
        nn.init.constant_(run.model.bias, number)
        hook.after_val_epoch(run, scores)
    best = {"iteration": expected, metric: VALIDATIONS[expected - 1][metric]}
    assert hook.best == best
    assert open_weights(hook.best_file).tensors["bias"] == expected
    state = folder.newest()
    assert state is not None and state["best"] == best
    resumed = CheckpointHook(job, folder, state, StopRequest(), {})
    run.iter = 4
    resumed.after_val_epoch(run, {name: value * 0.9 for name, value in VALIDATIONS[1].items()})
    assert resumed.best == best

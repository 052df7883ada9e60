"""Checkpoint files are opened without running what hides in them, and what they are not is said in one line."""

from __future__ import annotations

import argparse
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from isnet.checkpoints.weights_formats import open_weights
from isnet.errors import UserError


class Touch:
    """A pickle that makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def test_a_hostile_pickle_is_refused_with_an_explanation_and_does_not_run(tmp_path: Path) -> None:
    file, trace = tmp_path / "official.pth", tmp_path / "trace"
    torch.save({"model": {"backbone_net.x": torch.ones(1)}, "hook": Touch(trace)}, file)
    with pytest.raises(
        UserError, match=r"would load posix.system.*not opened. If you trust it, save"
    ) as told:
        open_weights(file)
    assert "\n" not in str(told.value)
    assert not trace.exists()
    torch.load(file, weights_only=False)  # it would have
    assert trace.exists()


def test_an_attribute_is_not_fetched_for_a_pickle(tmp_path: Path) -> None:
    """`getattr` stands in mmengine's checkpoints; it leads from any allowed object to any module."""

    class Walk:
        def __reduce__(self) -> tuple[Any, ...]:
            return getattr, (torch.Tensor, "__module__")

    file = tmp_path / "walk.pth"
    torch.save({"state_dict": {"x": torch.ones(1)}, "meta": {"classes": Walk()}}, file)
    assert not isinstance(open_weights(file).meta["classes"], str)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("<html>404</html>"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(pickle.dumps({"model": 1}, protocol=5)),
        lambda path: (torch.save({"x": torch.ones(999)}, path), os.truncate(path, 2000)),
    ],
    ids=["html", "empty", "pickle", "cut"],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(
    tmp_path: Path, write: Callable[[Path], Any]
) -> None:
    file = tmp_path / "x.pth"
    write(file)
    with pytest.raises(UserError) as told:
        open_weights(file)
    assert "was not written by torch.save, or is damaged" in str(told.value) and "\n" not in str(
        told.value
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"optimizer": {}, "epoch": 3},
            "neither model, model_ema nor state_dict, but optimizer, epoch",
        ),
        ({"model": {}}, "no weights under its key"),
        ({"model": {"a": 3}}, "'a' is a int, not a named tensor"),
        ([torch.ones(1)], "holds a list"),
        ({"model": argparse.Namespace(a=1)}, "would load argparse.Namespace"),
    ],
)
def test_a_file_without_weights_says_what_it_has(tmp_path: Path, content: Any, words: str) -> None:
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UserError, match=words):
        open_weights(tmp_path / "x.pth")


class _Tiny(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: Any, mode: str = "loss") -> Any:
        return {"loss": self.layer(torch.stack(x) if isinstance(x, list) else x).sum()}


def test_a_training_checkpoint_of_mmengine_is_opened(tmp_path: Path) -> None:
    """It holds a log of losses (numpy, its own classes) beside the weights, which plain torch refuses."""
    runner = Runner(
        _Tiny(), work_dir=str(tmp_path), experiment_name="tiny", log_level="ERROR",
        train_dataloader=dict(
            dataset=[{"x": torch.ones(2)}] * 4, batch_size=2, num_workers=0,
            sampler=dict(type="DefaultSampler", shuffle=False),
        ),
        train_cfg=dict(by_epoch=False, max_iters=2), optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1)),
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)),
    )  # fmt: skip
    runner.train()
    file = tmp_path / "iter_2.pth"
    with pytest.raises(pickle.UnpicklingError, match="HistoryBuffer"):
        torch.load(file, weights_only=True)
    before = dict(HistoryBuffer._statistics_methods)
    weights = open_weights(file)
    assert weights.kind == "mmseg"
    assert weights.tensors["layer.weight"].equal(runner.model.layer.weight)
    assert HistoryBuffer._statistics_methods == before

"""A training whose results were brought from elsewhere is finished work."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pretended_run import pretend_finished

from isnet.pipeline.pulled_trainings import adopt_pulled_trainings
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

PULLED = Path("results/runs/one/train")


@pytest.fixture
def taken(checkout: Path) -> Path:
    """Bring the results of run one; return where its finished work belongs."""
    pretend_finished(checkout, "one", 0.5)
    shutil.rmtree("work/runs")
    for name in ("curves.csv", "validation.csv", "model_card.md"):
        (PULLED / name).touch()
    record = json.loads((PULLED / "train.json").read_text())
    record["key"] = Plan.of(load_params()).train_key("one", record["manifest_digest"])
    (PULLED / "train.json").write_text(json.dumps(record))
    return Path("work/runs/one", record["key"], "train")


def _adopt() -> None:
    adopt_pulled_trainings(Plan.of(load_params()))


def test_its_files_are_taken_but_the_model_card_of_the_evaluation(taken: Path) -> None:
    _adopt()
    assert {path.name for path in PULLED.iterdir()} - {path.name for path in taken.iterdir()} == {
        "model_card.md"
    }
    assert all(path.read_bytes() == (PULLED / path.name).read_bytes() for path in taken.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        lambda: (PULLED / "weights.pth").write_bytes(b"other weights"),
        lambda: (PULLED / "curves.csv").unlink(),
        lambda: (PULLED / "train.json").write_text("{}"),
        lambda: Path("params.yaml").write_text(
            Path("params.yaml")
            .read_text()
            .replace("seed: 0\n    devices", "seed: 1\n    devices", 1)
        ),
    ],
    ids=["other weights", "a file is missing", "no key", "other settings"],
)
def test_what_is_not_the_whole_training_of_the_run_is_left_alone(
    taken: Path, change: Callable[[], object]
) -> None:
    change()
    _adopt()
    assert not taken.parent.exists()

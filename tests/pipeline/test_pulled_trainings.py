"""A training whose results were brought from elsewhere is finished work."""

from __future__ import annotations

import shutil
from pathlib import Path

from pretended_run import pretend_finished

from isnet.pipeline.pulled_trainings import adopt_pulled_trainings
from isnet.settings.params import load_params
from isnet.settings.plan import Plan


def test_it_is_taken_with_the_weights_that_it_wrote_alone(checkout: Path) -> None:
    for run in ("one", "two"):
        pretend_finished(checkout, run, 0.5)
    shutil.rmtree("work/runs")
    Path("results/runs/two/train/weights.pth").write_bytes(b"other weights")
    Path("results/runs/one/train/model_card.md").touch()
    adopt_pulled_trainings(Plan.of(load_params()))
    taken, pulled = Path("work/runs/one/one-key/train"), Path("results/runs/one/train")
    assert {path.name for path in taken.iterdir()} == {"weights.pth", "train.json", "config.py"}
    assert all(path.read_bytes() == (pulled / path.name).read_bytes() for path in taken.iterdir())
    assert not Path("work/runs/two").exists()

"""`isnet.train`, `evaluate` and `read_results` do what the commands do."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from forked_commands import write_program

import isnet
from isnet.cli import main

Edit = Callable[[str, str], None]


def test_a_run_from_training_to_the_table(
    prepared: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(prepared / "python")
    with monkeypatch.context() as patch:  # the evaluation starts as for a user
        patch.setattr(sys, "executable", str(prepared / "python"))
        weights = isnet.train("one")
    assert "[train one] finished" in capfd.readouterr().err
    model = isnet.load(weights, device="cpu")
    assert model.metadata.provenance["run"] == "one"
    of_run = isnet.evaluate(run="one")
    by_hand = isnet.evaluate(weights, dataset="streets")
    assert of_run.single_scale.mIoU is not None and of_run.run == "one"
    assert by_hand.single_scale == of_run.single_scale

    table = isnet.read_results()
    assert main(["report"]) == 0
    with Path("reports/results.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert list(table.columns) == list(written[0])
    assert table.run.tolist() == [row["run"] for row in written]
    assert table.mIoU[0] == of_run.single_scale.mIoU
    assert table.run.map(type).eq(str).all()


def test_wrong_calls_are_refused_in_one_line(
    prepared: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(isnet.UserError, match="three"):
        isnet.train("three")
    for wrong in ({}, {"run": "one", "dataset": "streets"}, {"weights": "a.pth"}):
        with pytest.raises(isnet.UserError, match="not said what to evaluate"):
            isnet.evaluate(**wrong)  # type: ignore[arg-type]
    with pytest.raises(isnet.UserError, match="no run has results yet"):
        isnet.read_results()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(isnet.UserError, match="pip install pandas"):
        isnet.read_results()

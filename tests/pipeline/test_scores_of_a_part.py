"""Scores over nothing or over a part of the classes say so; nothing to learn is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pretended_run import pretend_finished

from isnet.cli import main
from isnet.pipeline.evaluate import _score_line
from isnet.pipeline.runs_to_track import current_record
from isnet.records.dataset_records import class_coverage
from isnet.records.run_records import MetricsRecord
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.mlflow.model_registry import version_tags
from isnet.tracking.tracked_run import TrackedRun

NOTHING = "no pixel of the training labels has a class, there is nothing to learn"


def _metrics(**scores: float | None) -> MetricsRecord:
    facts = {"dataset": "a", "weights_sha256": "", "manifest_digest": "", "split": "val"}
    single = {"mIoU": None, "aAcc": None, **scores}
    return MetricsRecord.model_validate(
        {**facts, "images": 2, "method": "ISNet", "single_scale": single}
    )


def test_a_training_without_labelled_pixels_does_not_start(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "streets"]) == 0
    census = checkout / "results/datasets/streets/census.json"
    counts = json.loads(census.read_text())
    counts["splits"]["train"]["pixels"] = [0] * len(counts["classes"])
    counts["splits"]["val"]["pixels"] = [9] + [0] * (len(counts["classes"]) - 1)
    census.write_text(json.dumps(counts))
    capsys.readouterr()
    assert main(["train", "--run", "one"]) == 2
    told = capsys.readouterr().err
    assert NOTHING in told
    assert "validation scores are over a part of the classes (labels have 1 of 19 classes)" in told
    assert not (checkout / "work/runs/one").exists()


def test_the_classes_that_labels_have_are_counted() -> None:
    assert class_coverage([5, 0, 1]) == " (labels have 2 of 3 classes)"
    assert class_coverage([5, 1, 1]) == ""


def test_the_terminal_says_over_what_a_score_is() -> None:
    assert _score_line(_metrics(), class_coverage([0, 0])).startswith("there is no score: ")
    line = _score_line(_metrics(mIoU=1.0, mDice=1.0, aAcc=1.0), class_coverage([9, 0]))
    assert line.startswith("mIoU 100.00% (labels have 1 of 2 classes), mDice")


def test_a_model_without_a_score_is_registered_without_one() -> None:
    facts = {"name": "one", "key": "k", "iterations": 1, "work": Path(), "state": "finished"}
    record = TrackedRun(
        **facts,  # type: ignore[arg-type]
        settings={"method": "ISNet"},
        manifest_digest="d",
        metrics={"single_scale": {"mIoU": None}},
    )
    assert version_tags(record) == {"data.manifest": "d", "run": "one", "method": "ISNet"}


def test_mlflow_tags_a_run_and_its_model_with_the_classes_that_labels_have(checkout: Path) -> None:
    pretend_finished(checkout, "one", 0.5)
    table = checkout / "results/runs/one/evaluate/per_class.csv"
    table.write_text("class,iou,accuracy,pixels\nroad,0.5,0.5,9\ncar,,,0\n")
    record = current_record(Plan.of(load_params()), "one")
    assert record is not None
    assert record.tags["labelled_classes"] == "1 of 2"
    assert version_tags(record)["labelled_classes"] == "1 of 2"
    table.write_text("class,iou,accuracy,pixels\nroad,0.5,0.5,9\ncar,0.5,0.5,9\n")
    record = current_record(Plan.of(load_params()), "one")
    assert record is not None
    assert "labelled_classes" not in record.tags | version_tags(record)

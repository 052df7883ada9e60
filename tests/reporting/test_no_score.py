"""A run whose validation labels are all ignored has a report: it says that there is no score."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from isnet.reporting.model_card import write_model_card

from .pages import Page, report

_COUNTS = {"images", "pixels", "scales", "flip", "mode", "crop_size", "stride", "views"}


def _without_scores(value: Any) -> Any:
    """Return a record with null in place of each fraction."""
    if isinstance(value, dict):
        return {
            key: part if key in _COUNTS else _without_scores(part) for key, part in value.items()
        }
    if isinstance(value, list):
        return [_without_scores(part) for part in value]
    return None if isinstance(value, float) else value


def _blank(table: Path, kept: set[str]) -> None:
    with table.open() as file:
        rows = list(csv.DictReader(file))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            blank = {"pixels": "0"} if "pixels" in row else {}
            writer.writerow({key: row[key] if key in kept else "" for key in row} | blank)


@pytest.fixture
def unscored(results: Path) -> Path:
    """A results tree whose run fcn has no score."""
    folder = results / "runs/fcn"
    path = folder / "evaluate/metrics.json"
    metrics = json.loads(path.read_text())
    for key in ("single_scale", "multi_scale_flip"):
        metrics[key] = _without_scores(metrics[key])
    metrics |= {"calibration": [], "overlays": []}
    path.write_text(json.dumps(metrics))
    _blank(folder / "evaluate/per_class.csv", {"class"})
    _blank(folder / "evaluate/per_image.csv", {"name"})
    _blank(folder / "train/validation.csv", {"iteration", "seconds"})
    return results


def test_the_pages_and_tables_say_that_there_is_no_score(unscored: Path) -> None:
    both = Page(report(unscored, ["isnet", "fcn"]))
    assert "; FCN has none; a classifier" in both.text
    assert "labels have 0 of" in Page(unscored.parent / "reports/runs/fcn.html").text
    alone = Page(report(unscored, ["fcn"]))
    assert "FCN has no mIoU on streets val" in " ".join(alone.text.split())
    assert "labels have 0 of" in alone.text
    assert "labels have 0 of" in (unscored.parent / "reports/results.md").read_text()
    write_model_card("fcn", unscored)
    assert "labels have 0 of" in (unscored / "runs/fcn/train/model_card.md").read_text()

"""A run is set beside the published result of its config, and what differs is said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from repository import REPOSITORY

from isnet.records.result_reader import read_results
from isnet.reporting.published_results import (
    PublishedComparison,
    compare_with_published,
    read_published_results,
)

from .pages import Page, edit, report

CONFIG = "isnet/configs/isnet_res50_8xb2-81840_cityscapes-512x1024.py"
PAGE = REPOSITORY / "docs/reference/configs.md"
OFFICIAL = {"iterations": 81840, "global_batch": 16}


@pytest.fixture
def reproduced(results: Path) -> Path:
    """`isnet` as if it were the official run, with an mIoU of 79.41 and an interval around it."""
    run = results / "runs" / "isnet"
    edit(results / "datasets" / "streets" / "manifest.json", kind="cityscapes")
    edit(run / "train" / "train.json", config=CONFIG, settings={"seed": 0}, **OFFICIAL)
    score = {"mIoU": 0.79409, "intervals": {"mIoU": [0.7812, 0.8055]}, "mode": "whole"}
    several = {"mIoU": 0.8, "intervals": {"mIoU": [0.79, 0.81]}, "scales": [1.0], "flip": True}
    edit(
        run / "evaluate" / "metrics.json", images=500, single_scale=score, multi_scale_flip=several
    )
    return results


def beside(results: Path, **settings: Any) -> PublishedComparison | None:
    given = {"isnet": settings} if settings else {}
    return compare_with_published(*read_results(["isnet"], results=results, settings=given)[0])


def test_the_published_results_are_those_of_the_page_of_configs() -> None:
    lines = re.findall(
        r"^\| `(\S+)` \|.*\| ([\d,]+) x (\d+) \| ([\d.]+) \| ([\d.]+) \|$",
        PAGE.read_text(),
        re.MULTILINE,
    )
    told = {
        name: (int(iterations.replace(",", "")), int(batch), float(single), float(several))
        for name, iterations, batch, single, several in lines
    }
    kept = {
        name: (entry.iterations, entry.batch, entry.mIoU, entry.ms_flip)
        for name, entry in read_published_results().results.items()
    }
    assert kept == told and len(kept) == 12
    assert all(
        f"_{entry.kind}-" in name for name, entry in read_published_results().results.items()
    )


def test_difference_and_interval_are_those_of_the_record(reproduced: Path) -> None:
    found = beside(reproduced)
    assert found is not None
    single, several = (tuple(row.values()) for row in found.table.rows)
    assert single == ("isnet", "single scale", "79.41", "78.12\u201380.55", "79.32", "+0.09", "yes")
    assert several == ("isnet", "ms+flip", "80.00", "79.00\u201381.00", "81.31", "\u22121.31", "no")


def test_a_run_made_as_published_is_said_to_be(tmp_path: Path, reproduced: Path) -> None:
    # streets has the classes of Cityscapes.
    found = beside(reproduced)
    assert found is not None and found.sentences() == [
        (["isnet"], "the settings are the official ones")
    ]
    page = Page(report(reproduced, ["isnet"], isnet={"seed": 0}))
    assert "Comparison with the official results" in page.text and "+0.09" in page.text
    assert "| isnet | single scale | 79.41 |" in (tmp_path / "reports/results.md").read_text()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"overrides.optim_wrapper.optimizer.lr": 0.02}, "override optim_wrapper.optimizer.lr"),
        ({"precision": "bf16"}, "precision = bf16"),
        ({"ema": 0.9998}, "ema = 0.9998"),
    ],
)
def test_settings_that_deviate_are_named(
    reproduced: Path, changed: dict[str, Any], said: str
) -> None:
    found = beside(reproduced, seed=0, **changed)
    assert found is not None and len(found.deviations["isnet"]) == 1
    assert said in found.sentences()[0][1]


def test_another_length_batch_or_number_of_images_is_named(reproduced: Path) -> None:
    run = reproduced / "runs" / "isnet"
    edit(run / "train" / "train.json", iterations=400, global_batch=4)
    edit(run / "evaluate" / "metrics.json", images=4)
    found = beside(reproduced, **{"overrides.train_cfg.max_iters": 400})
    assert found is not None and found.deviations["isnet"] == [
        "iterations 400 instead of 81,840",
        "global batch 4 instead of 16",
        "scored images 4 instead of 500",
    ]


def test_the_same_config_on_other_data_has_no_official_result(reproduced: Path) -> None:
    edit(reproduced / "datasets" / "streets" / "manifest.json", kind="streets")
    assert beside(reproduced) is None
    assert "official" not in Page(report(reproduced, ["isnet"])).text


def test_scores_without_an_interval_are_not_said_to_be_inside(reproduced: Path) -> None:
    path = reproduced / "runs" / "isnet" / "evaluate" / "metrics.json"
    record = json.loads(path.read_text())
    edit(path, single_scale=record["single_scale"] | {"intervals": None}, multi_scale_flip=None)
    found = beside(reproduced)
    assert found is not None
    assert [row["Inside"] for row in found.table.rows] == ["-"]

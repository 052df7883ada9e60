"""The words beside the numbers: what is claimed, and what is warned of."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from isnet.records.result_reader import DatasetResults, RunResults, read_results
from isnet.records.run_records import Confusion
from isnet.reporting.class_charts import census_bars, confused_pairs
from isnet.reporting.curve_charts import POINTS, average_points
from isnet.reporting.findings import concerns, rank_methods, seed_notes, settings_differences

from . import tree
from .conftest import SETTINGS

Group = tuple[DatasetResults, list[RunResults]]


def streets(results: Path, runs: list[str], settings: dict[str, Any] | None = None) -> Group:
    return read_results(runs, results=results, settings=settings or {})[0]


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_best_comes_first_and_one_seed_is_no_evidence(results: Path) -> None:
    found = rank_methods(streets(results, ["fcn", "isnet"], SETTINGS)[1])
    assert [method.label for method in found] == ["ISNet", "FCN"]
    assert any("single seed is not yet evidence" in note for note in seed_notes(found))


def test_seeds_of_one_method_are_averaged(results: Path) -> None:
    names = ["a", "b", "c"]
    for seed, name in enumerate(names):
        tree.run(results, name, seed=seed)
    settings = {name: tree.settings_of("ISNet", seed=i) for i, name in enumerate(names)}
    _, runs = streets(results, names, settings)
    [found] = rank_methods(runs)
    scores = [run.evaluated.single_scale.mIoU or 0.0 for run in runs]
    assert found.runs == names
    assert found.mIoU == pytest.approx(statistics.fmean(scores))
    assert found.deviation == pytest.approx(statistics.stdev(scores))
    assert not any("single seed" in note for note in seed_notes([found]))


def test_other_settings_are_another_method_and_are_told_apart(results: Path) -> None:
    tree.run(results, "tuned", seed=5)
    settings = {"isnet": tree.settings_of("ISNet"), "tuned": tree.settings_of("ISNet", lr=1)}
    found = rank_methods(streets(results, ["isnet", "tuned"], settings)[1])
    assert {method.label for method in found} == {"ISNet (isnet)", "ISNet (tuned)"}


def test_a_clean_run_raises_no_concern(results: Path) -> None:
    assert concerns(*streets(results, ["isnet"])) == []


@pytest.mark.parametrize(
    ("stage", "changes", "said"),
    [
        ("evaluate/metrics.json", {"weights_sha256": "0"}, "not those of the last training"),
        ("evaluate/metrics.json", {"manifest_digest": "0"}, "another version of streets"),
        ("train/train.json", {"manifest_digest": "0"}, "another version of streets"),
        ("evaluate/metrics.json", {"iteration": 200}, "iteration 200 of 300"),
        ("train/train.json", {"environment": {"git_dirty": True}}, "uncommitted"),
        ("evaluate/metrics.json", {"split": "test"}, "different splits"),
        ("evaluate/metrics.json", {"images": 79}, "different numbers of images"),
    ],
)
def test_what_makes_a_number_doubtful_is_said(
    results: Path, stage: str, changes: dict[str, Any], said: str
) -> None:
    change(results / "runs" / "isnet" / stage, **changes)
    found = concerns(*streets(results, ["isnet", "fcn"]))
    assert [line for line in found if said in line] == found and len(found) == 1


def test_only_settings_that_differ_are_listed(results: Path) -> None:
    _, runs = streets(results, ["isnet", "fcn"], SETTINGS)
    assert settings_differences(runs) == [
        ("config", ["isnet/configs/isnet.py", "isnet/configs/fcn.py"]),
        ("overrides.model.decode_head.channels", [None, "128"]),
    ]


def test_settings_come_from_train_json_where_none_are_given(results: Path) -> None:
    _, runs = streets(results, ["isnet"])
    assert runs[0].settings == SETTINGS["isnet"]


def test_worst_pairs_by_share_and_by_pixels() -> None:
    confusion = Confusion(["road", "car", "pole"], [[900, 100, 0], [0, 50, 0], [6, 0, 4]])
    pairs = confused_pairs(confusion)
    assert [(p["truth"], p["predicted"]) for p in pairs["share"]] == [
        ("pole", "road"),
        ("road", "car"),
    ]
    assert pairs["share"][0]["share"] == pytest.approx(0.6)
    assert pairs["pixels"][0]["of_wrong"] == pytest.approx(100 / 106)


def test_a_perfect_matrix_has_no_pairs() -> None:
    assert confused_pairs(Confusion(["a", "b"], [[1, 0], [0, 1]])) == {"share": [], "pixels": []}


def test_long_curves_are_means_that_keep_their_end() -> None:
    steps = list(range(1, 3201))
    x, y = average_points(steps, [float(step) for step in steps])
    assert len(x) <= POINTS and x[-1] == 3200
    assert y[0] == pytest.approx(statistics.fmean(range(1, 8)))


def test_census_shares_are_of_labelled_pixels(results: Path) -> None:
    dataset, _ = streets(results, ["isnet"])
    bars = census_bars(dataset.census)
    assert bars is not None and dataset.census is not None
    classes: Any = bars["classes"]
    for index, split in enumerate(dataset.census.splits.values()):
        shares = [entry["bars"][index]["share"] for entry in classes]
        assert sum(shares) == pytest.approx(1)
        assert shares[0] == split.pixels[0] / sum(split.pixels)
    absent = next(entry for entry in classes if entry["name"] == tree.ABSENT)
    assert [bar["length"] for bar in absent["bars"]] == [None, None]

"""What runs over several seeds say: the spread, and which differences are larger than it."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from scipy import stats

from isnet.records.result_reader import RunResults, read_results
from isnet.reporting.seed_spread import (
    MethodScores,
    difference_interval,
    seed_dots,
    seed_groups,
    seed_spreads,
    spread_table,
    verdicts,
)

from . import tree
from .pages import Page, edit, report

GIVEN = {
    "isnet_s0": tree.settings_of("ISNet", seed=0),
    "isnet_s1": tree.settings_of("ISNet", seed=1),
    "isnet_s2": tree.settings_of("ISNet", seed=2),
    "fcn_s0": tree.settings_of("FCN", seed=0),
}


@pytest.fixture
def repeated(results: Path) -> Path:
    """ISNet with three seeds and FCN with one."""
    for name, settings in GIVEN.items():
        method = "FCN" if name.startswith("fcn") else "ISNet"
        seed = int(name[-1])
        tree.run(results, name, method=method, seed=seed, images=1, settings=settings)
    return results


def read(results: Path, names: list[str]) -> list[RunResults]:
    return read_results(names, results=results, settings=GIVEN)[0][1]


def made(label: str, *scores: float) -> MethodScores:
    return MethodScores(
        label, [f"{label}{i}" for i in range(len(scores))], list(range(len(scores))), list(scores)
    )


def test_runs_that_differ_in_the_seed_alone_are_one_group(repeated: Path) -> None:
    groups = seed_groups(read(repeated, list(GIVEN)))
    assert [[run.name for run in group] for group in groups] == [list(GIVEN)[:3], ["fcn_s0"]]


@pytest.mark.parametrize("key", ["devices", "overrides.optim_wrapper.optimizer.lr"])
def test_any_other_setting_is_another_group(repeated: Path, key: str) -> None:
    settings = GIVEN | {"isnet_s1": GIVEN["isnet_s1"] | {key: "other"}}
    runs = read_results(list(GIVEN), results=repeated, settings=settings)[0][1]
    assert [len(group) for group in seed_groups(runs)] == [2, 1, 1]


def test_the_table_has_mean_deviation_and_range_of_the_records(repeated: Path) -> None:
    runs = read(repeated, list(GIVEN))
    scores = [100 * (run.evaluated.single_scale.mIoU or 0) for run in runs[:3]]
    rows = {row["Method"]: row for row in spread_table(seed_spreads(runs)).rows}
    assert list(rows["ISNet"].values())[1:] == [
        "3",
        f"{statistics.fmean(scores):.2f}",
        f"{statistics.stdev(scores):.2f}",
        f"{min(scores):.2f}",
        f"{max(scores):.2f}",
    ]
    assert (rows["FCN"]["Seeds"], rows["FCN"]["Std. deviation"]) == ("1", "-")


def test_a_seed_that_was_run_twice_counts_once(repeated: Path) -> None:
    edit(repeated / "runs" / "isnet_s2" / "train" / "train.json", seed=1)
    found = {spread.label: spread for spread in seed_spreads(read(repeated, list(GIVEN)))}
    assert found["ISNet"].runs == ["isnet_s0", "isnet_s1"]


def test_the_interval_is_that_of_welch() -> None:
    first, second = [0.71, 0.73, 0.70, 0.74], [0.66, 0.70]
    known = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert difference_interval(first, second) == pytest.approx((known.low, known.high))


def test_a_difference_is_larger_than_the_spread_or_it_is_not() -> None:
    near, far = made("near", 0.70, 0.72, 0.71), made("far", 0.50, 0.51, 0.49)
    beside = made("beside", 0.69, 0.73, 0.705)
    [clear] = verdicts([near, far])
    assert clear.startswith("near is 21.00 points above far") and ": larger than" in clear
    [unclear] = verdicts([near, beside])
    assert "not larger than the spread over seeds" in unclear


def test_one_seed_is_no_evidence_and_two_single_runs_are_not_compared() -> None:
    several, one, other = made("several", 0.7, 0.72), made("one", 0.6), made("other", 0.5)
    said = verdicts([several, one, other])
    assert len(said) == 2
    assert all("has one seed: the difference may be chance" in line for line in said)
    assert verdicts([one, other]) == []


def test_seeds_that_give_the_same_score_are_no_error() -> None:
    [said] = verdicts([made("a", 0.7, 0.7), made("b", 0.6, 0.6)])
    assert "larger than the spread" in said
    axis = seed_dots([made("a", 0.7, 0.7)])
    assert len(axis["ticks"]) > 1


@pytest.mark.parametrize("scores", [(0.0, 0.0), (0.0, 1.0), (0.4651, 0.4652), (0.6, 0.75, 0.62)])
def test_points_of_seeds_are_on_their_axis(scores: tuple[float, ...]) -> None:
    dots = seed_dots([made("a", *scores)])
    [row] = dots["rows"]
    assert all(0 <= point["at"] <= 100 for point in row["points"])
    ticks = dots["ticks"]
    assert 2 <= len(ticks) <= 8
    assert (ticks[0]["at"], ticks[-1]["at"]) == (0, 100)


def test_the_page_and_the_table_say_it_and_one_seed_each_says_nothing(repeated: Path) -> None:
    index = report(repeated, list(GIVEN), **GIVEN)
    page, table = Page(index), (index.parent / "results.md").read_text()
    assert "Over seeds" in page.text and "FCN has one seed" in page.text
    assert "### Over seeds" in table and "FCN has one seed" in table
    alone = report(repeated, ["isnet_s0", "fcn_s0"], **GIVEN)
    assert "Over seeds" not in Page(alone).text
    assert "single seed is not yet evidence" in Page(alone).text

"""The report as a whole: its files, from few runs or many, from records that lack something."""

from __future__ import annotations

from pathlib import Path

import pytest

from isnet.errors import UserError
from isnet.reporting.index_page import write_report

from . import tree
from .conftest import SETTINGS
from .pages import Page, edit, pages, report


def test_writes_the_files_of_the_contract_and_nothing_else(reports: Path) -> None:
    written = {p.relative_to(reports).as_posix() for p in reports.rglob("*") if p.is_file()}
    assert written == {
        *("index.html", "results.md", "results.csv"),
        *(f"runs/{run}.html" for run in SETTINGS),
    }


def test_same_inputs_give_the_same_bytes(results: Path, reports: Path) -> None:
    before = {path: path.read_bytes() for path in reports.rglob("*.*")}
    write_report(list(SETTINGS), results=results, reports=reports, settings=SETTINGS)
    assert {path: path.read_bytes() for path in reports.rglob("*.*")} == before


@pytest.mark.parametrize("runs", [["isnet"], ["fcn"], ["isnet_camvid"]])
def test_one_run_is_enough(results: Path, runs: list[str]) -> None:
    index = report(results, runs)
    assert "one run with one seed" in Page(index).text
    assert len(pages(index.parent)) == 2


def test_thirty_runs_fit(results: Path) -> None:
    names = [f"run{i:02d}" for i in range(30)]
    for i, name in enumerate(names):
        tree.run(results, name, seed=i, skill=0.4 + i / 100, images=2, size=(96, 48))
    settings = {name: tree.settings_of("ISNet", seed=i) for i, name in enumerate(names)}
    index = report(results, names, **settings)
    assert all(f'href="runs/{name}.html"' in index.read_text() for name in names)
    assert index.stat().st_size < 5_000_000


def test_missing_baseline_census_curves_and_overlays_leave_pages(results: Path) -> None:
    for name in ("baseline.json", "census.json"):
        (results / "datasets" / "streets" / name).unlink()
    for run in ("isnet", "fcn"):
        (results / "runs" / run / "train" / "curves.csv").write_text("iteration,loss,lr\n")
        (results / "runs" / run / "train" / "validation.csv").unlink()
        edit(results / "runs" / run / "evaluate" / "metrics.json", overlays=[])
    index = report(results, ["isnet", "fcn"])
    assert "classifier" not in Page(index).text
    assert "has no curves" in Page(index.parent / "runs" / "isnet.html").text


def test_a_split_without_labels_has_no_score(results: Path) -> None:
    metrics = results / "runs" / "isnet" / "evaluate" / "metrics.json"
    edit(metrics, single_scale={"mIoU": None, "mAcc": None, "aAcc": None, "mode": "whole"})
    edit(results / "datasets" / "streets" / "baseline.json", mIoU=None, per_class_iou=[None] * 19)
    index = report(results, ["isnet", "fcn"])
    assert "| isnet | ISNet |" in (index.parent / "results.md").read_text()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("runs/isnet/evaluate/metrics.json", "isnet evaluate --run isnet"),
        ("runs/isnet/evaluate/confusion.csv", "isnet evaluate --run isnet"),
        ("runs/isnet/train/train.json", "isnet train --run isnet"),
        ("datasets/streets/manifest.json", "isnet convert --dataset streets"),
    ],
)
@pytest.mark.parametrize("how", ["absent", "garbled", "empty"])
def test_what_is_needed_is_named_with_the_command_that_makes_it(
    results: Path, broken: str, said: str, how: str
) -> None:
    path = results / broken
    path.write_text('{"a": 1}' if how == "garbled" else "")
    if how == "absent":
        path.unlink()
    with pytest.raises(UserError, match=said) as caught:
        report(results, ["isnet"])
    assert "\n" not in str(caught.value)
    assert not (results.parent / "reports").exists()


@pytest.mark.parametrize("runs", [[], ["../isnet"], ["a/b"]])
def test_no_run_and_no_name_are_refused(results: Path, runs: list[str]) -> None:
    with pytest.raises(UserError):
        report(results, runs)


def test_a_report_that_fails_leaves_the_old_files_whole(
    results: Path, reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in reports.rglob("*.*")}
    tree.run(results, "isnet", skill=0.3)

    def die(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", die)
    with pytest.raises(OSError, match="disk full"):
        write_report(list(SETTINGS), results=results, reports=reports, settings=SETTINGS)
    assert {path: path.read_bytes() for path in reports.rglob("*.*")} == before

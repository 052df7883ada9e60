"""Runs without results: the page, the table and the terminal say which, why and what goes on with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from isnet.reporting.index_page import write_report
from isnet.reporting.missing_run_text import MissingRun, missing_line

from .conftest import SETTINGS
from .pages import Page

STOPPED = MissingRun(
    run="stopped",
    dataset="streets",
    method="FCN",
    why="interrupted, resumes at iteration 400 of 800",
    command="isnet train --run stopped",
    log="logs/train/stopped.log",
    last_line="loss <b>nan</b> at iteration 401",
)
NEVER = MissingRun(
    run="never",
    dataset="elsewhere",
    method="ISNet",
    why="never trained",
    command="isnet train --run never",
    log="",
    last_line="",
)


def _report(results: Path, runs: list[str], *missing: MissingRun) -> Path:
    settings = {run: SETTINGS[run] for run in runs}
    reports = results.parent / "reports"
    return write_report(runs, results=results, reports=reports, settings=settings, missing=missing)


def _missing_rows(page: Path) -> list[str]:
    return [attrs["class"] or "" for tag, attrs in Page(page).tags if tag == "tr" and attrs]


def test_a_missing_run_is_in_the_table_with_its_reason_command_and_log(results: Path) -> None:
    index = _report(results, ["isnet", "fcn"], STOPPED)
    page = Page(index)
    assert "1 run is missing: stopped." in page.text
    assert "Interrupted, resumes at iteration 400 of 800. Continue: isnet train" in page.text
    assert "logs/train/stopped.log, last line: loss <b>nan</b> at iteration 401" in page.text
    assert _missing_rows(index) == ["missing", "baseline"]
    table = (index.parent / "results.md").read_text()
    assert "- **stopped** on streets: interrupted, resumes at iteration 400 of 800." in table
    assert "`isnet train --run stopped`. Its log: `logs/train/stopped.log`" in table


def test_without_a_baseline_the_missing_are_in_the_table_too(results: Path) -> None:
    (results / "datasets/streets/baseline.json").unlink()
    assert _missing_rows(_report(results, ["isnet"], STOPPED)) == ["missing"]


def test_a_data_set_without_results_has_its_own_section(results: Path) -> None:
    index = _report(results, ["isnet"], STOPPED, NEVER)
    page = Page(index)
    assert "No run on elsewhere has results yet." in page.text
    assert "3 runs on 2 data sets" in page.text
    assert "elsewhere" in page.attributes("id")


def test_an_earlier_page_of_a_missing_run_goes(results: Path) -> None:
    stale = _report(results, ["isnet", "fcn"]).parent / "runs" / "fcn.html"
    assert stale.is_file()
    gone = MissingRun("fcn", "streets", "FCN", "never trained", "isnet train --run fcn", "", "")
    _report(results, ["isnet"], gone)
    assert not stale.exists()


def test_where_all_are_missing_the_page_says_so_and_no_old_table_stays(results: Path) -> None:
    old = _report(results, ["isnet"]).parent / "results.csv"
    index = _report(results, [], STOPPED, NEVER)
    assert "No run on streets has results yet." in Page(index).text
    assert not old.exists()
    assert "**never** on elsewhere: never trained" in (index.parent / "results.md").read_text()


@pytest.mark.parametrize("count", [1, 50])
def test_the_line_for_the_terminal_stays_one_line(count: int) -> None:
    line = missing_line([STOPPED] * count, 60)
    assert "\n" not in line
    assert line.startswith(f"{count} of 60 runs {'is' if count == 1 else 'are'} missing: stopped (")
    assert ("and 45 more" in line) == (count == 50)

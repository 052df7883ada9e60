"""Pages that carry everything with them: one HTML file per run and one that compares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from isnet.io.atomic_files import write_text
from isnet.records.result_reader import COMMANDS, DatasetResults, RunResults, read_results
from isnet.reporting.charts import census_bars, class_dots, comparison_charts
from isnet.reporting.comparison_charts import seed_dots, speed_scatter
from isnet.reporting.findings import concerns, headline, settings_differences
from isnet.reporting.html_templates import render
from isnet.reporting.missing_results import MissingRun
from isnet.reporting.overlay_gallery import BUDGET, shared_gallery
from isnet.reporting.published_results import beside_official
from isnet.reporting.results_table import (
    NUMERIC,
    Group,
    cost_table,
    results_csv,
    results_markdown,
    results_rows,
)
from isnet.reporting.run_page import run_page
from isnet.reporting.seed_spread import RULE, over_seeds, spread_table, verdicts
from isnet.reporting.text_table import TextTable

__all__ = ["write_report"]

SCRIPTS = ("tips.js", "axes.js", "charts.js", "scatter.js", "copy.js", "viewer.js")

PAGE_COLUMNS = (
    *("Run", "Method", "mIoU", "95 % interval", "mIoU(ms+flip)", "Boundary mIoU"),
    *("Backbone", "Crop Size", "Lr schd", "config"),
)
"""Columns of the page's table: what is looked for first comes first, so that a phone shows it."""


def write_report(
    runs: list[str],
    *,
    results: Path,
    reports: Path,
    settings: dict[str, dict[str, object]],
    missing: Sequence[MissingRun] = (),
    exports: Path | None = None,
) -> Path:
    """Write `index.html`, `runs/<run>.html`, `results.md` and `results.csv` under `reports`.

    `settings[run]` are the run's flattened settings of params.yaml; a run without them is shown
    with those in its `train.json`. `missing` are runs that have no results: they are named, and an
    earlier page of theirs goes; where all are missing, there is no `results.csv`. `exports` is the
    folder of what `isnet export` wrote: files of a user, of which there need not be any. Every file
    is whole or absent, the index comes last, and the same inputs give the same bytes. Returns the
    index. Raises UserError where a stage has not left its record.
    """
    groups = (
        read_results(runs, results=results, settings=settings, exports=exports)
        if runs or not missing
        else []
    )
    for dataset, group in groups:
        for run in group:
            page = run_page(dataset, run, BUDGET)
            write_text(reports / "runs" / f"{run.name}.html", page)
    write_text(reports / "results.md", results_markdown(groups, missing))
    if groups:
        write_text(reports / "results.csv", results_csv(groups))
    stale = [reports / "runs" / f"{entry.run}.html" for entry in missing]
    for path in stale if groups else [*stale, reports / "results.csv"]:
        path.unlink(missing_ok=True)
    index = reports / "index.html"
    write_text(index, render("index.html.j2", _index_context(groups, missing), scripts=SCRIPTS))
    return index


def _index_context(groups: Sequence[Group], missing: Sequence[MissingRun]) -> dict[str, object]:
    # Every data set gets its share of what a page may weigh.
    budget = BUDGET // max(1, len(groups))
    sections = [_section(dataset, group, budget, missing) for dataset, group in groups]
    shown = {dataset.name for dataset, _ in groups}
    waiting = [entry for entry in missing if entry.dataset not in shown]
    return {
        "sections": sections,
        "waiting": {
            name: [entry for entry in waiting if entry.dataset == name]
            for name in dict.fromkeys(entry.dataset for entry in waiting)
        },
        "data": {
            "charts": [chart for section in sections for chart in section["charts"]],
            "scatters": [section["scatter"] for section in sections if section["scatter"]],
            "copies": {
                key: text for section in sections for key, text in section["copies"].items()
            },
        },
    }


def _section(
    dataset: DatasetResults, runs: list[RunResults], budget: int, missing: Sequence[MissingRun]
) -> dict[str, Any]:
    """Return what the index says of one data set; runs on other data sets are in other sections."""
    name = dataset.name
    # Keys are ids of the page, which has the charts of every data set.
    charts = [chart.data() | {"key": f"{name}-{chart.key}"} for chart in comparison_charts(runs)]
    scatter = speed_scatter(runs)
    return {
        "dataset": dataset,
        "runs": runs,
        "headline": headline(dataset, runs),
        "concerns": concerns(dataset, runs),
        "columns": PAGE_COLUMNS,
        "numeric": NUMERIC,
        "missing": [entry for entry in missing if entry.dataset == name],
        "charts": charts,
        "scatter": scatter and scatter | {"key": f"{name}-{scatter['key']}"},
        "classes": class_dots(dataset, runs),
        "gallery": shared_gallery(runs, budget) if len(runs) > 1 else None,
        "legend": list(zip(dataset.manifest.classes, dataset.manifest.palette, strict=False)),
        "differences": settings_differences(runs),
        "census": census_bars(dataset),
        "commands": COMMANDS,
        **_tables(dataset, runs),
    }


def _tables(dataset: DatasetResults, runs: list[RunResults]) -> dict[str, Any]:
    """Return the tables of one data set, and their texts for the buttons that copy them."""
    rows = results_rows(dataset, runs)
    beside, cost, seeds = beside_official(dataset, runs), cost_table(runs), _seeds(runs)
    # As on the page, without the folders of a config.
    shown = [row | {"config": PurePosixPath(row["config"]).name} for row in rows]
    tables = {
        "results": TextTable(PAGE_COLUMNS, shown, NUMERIC),
        "official": beside and beside.table,
        "seeds": seeds and seeds["table"],
        "cost": cost,
    }
    return {
        "rows": rows,
        "official": beside,
        "seeds": seeds,
        "cost": cost,
        "copies": {f"{dataset.name}-{key}": t.copies() for key, t in tables.items() if t},
    }


def _seeds(runs: list[RunResults]) -> dict[str, Any] | None:
    """Return what the runs say of other seeds, or None where each method has one."""
    found = over_seeds(runs)
    if not found:
        return None
    return {
        "table": spread_table(found),
        "dots": seed_dots(found),
        "verdicts": verdicts(found),
        "rule": RULE,
    }

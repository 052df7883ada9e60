"""Pages that carry everything with them: one HTML file per run and one that compares them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isnet.files import write_text
from isnet.reporting.figures import (
    census_bars,
    class_bars,
    class_dots,
    comparison_charts,
    confused_pairs,
    confusion_data,
    run_charts,
)
from isnet.reporting.findings import concerns, headline, setting_text, settings_differences
from isnet.reporting.images import BUDGET, run_gallery, shared_gallery
from isnet.reporting.missing import MissingRun
from isnet.reporting.provenance import package_table, provenance
from isnet.reporting.rendering import render
from isnet.reporting.sources import COMMANDS, DatasetSource, RunSource, read_sources
from isnet.reporting.table import (
    NUMERIC,
    Group,
    crop_size,
    results_csv,
    results_markdown,
    results_rows,
)

__all__ = ["write_report"]

SCRIPTS = ("tips.js", "charts.js", "confusion.js", "viewer.js")

PAGE_COLUMNS = (
    *("Run", "Method", "mIoU", "mIoU(ms+flip)", "Backbone", "Crop Size"),
    *("Lr schd", "Mem (GB)", "Inf time (fps)", "config"),
)
"""Columns of the page's table: what is looked for first comes first, so that a phone shows it."""


def write_report(
    runs: list[str],
    *,
    results: Path,
    reports: Path,
    settings: dict[str, dict[str, object]],
    missing: Sequence[MissingRun] = (),
) -> Path:
    """Write `index.html`, `runs/<run>.html`, `results.md` and `results.csv` under `reports`.

    `settings[run]` are the run's flattened settings of params.yaml; a run without them is shown
    with those in its `train.json`. `missing` are runs that have no results: they are named, and an
    earlier page of theirs goes; where all are missing, there is no `results.csv`. Every file is
    whole or absent, the index comes last, and the same inputs give the same bytes. Returns the
    index. Raises UserError where a stage has not left its record.
    """
    groups = read_sources(runs, results=results, settings=settings) if runs or not missing else []
    for dataset, group in groups:
        for run in group:
            page = render("run.html.j2", _run_context(dataset, run), scripts=SCRIPTS)
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
        "data": {"charts": [chart for section in sections for chart in section["charts"]]},
    }


def _run_context(dataset: DatasetSource, run: RunSource) -> dict[str, object]:
    charts = [chart.data() for chart in run_charts(run)]
    return {
        "run": run,
        "dataset": dataset,
        "headline": headline(dataset, [run]),
        "concerns": concerns(dataset, [run]),
        "crop": crop_size(run),
        "charts": charts,
        "classes": class_bars(dataset, run),
        "pairs": confused_pairs(run.confusion),
        "gallery": run_gallery(run, BUDGET),
        "legend": list(zip(dataset.manifest.classes, dataset.manifest.palette, strict=False)),
        "census": census_bars(dataset),
        "provenance": provenance(dataset, run),
        "packages": package_table(run),
        "settings": sorted((key, setting_text(value)) for key, value in run.settings.items()),
        "data": {"charts": charts, "confusion": confusion_data(run.confusion)},
    }


def _section(
    dataset: DatasetSource, runs: list[RunSource], budget: int, missing: Sequence[MissingRun]
) -> dict[str, Any]:
    """Return what the index says of one data set; runs on other data sets are in other sections."""
    # Keys are ids of the page, which has the charts of every data set.
    charts = [
        chart.data() | {"key": f"{dataset.name}-{chart.key}"} for chart in comparison_charts(runs)
    ]
    return {
        "dataset": dataset,
        "runs": runs,
        "headline": headline(dataset, runs),
        "concerns": concerns(dataset, runs),
        "columns": PAGE_COLUMNS,
        "numeric": NUMERIC,
        "rows": results_rows(dataset, runs),
        "missing": [entry for entry in missing if entry.dataset == dataset.name],
        "charts": charts,
        "classes": class_dots(dataset, runs),
        "gallery": shared_gallery(runs, budget) if len(runs) > 1 else None,
        "legend": list(zip(dataset.manifest.classes, dataset.manifest.palette, strict=False)),
        "differences": settings_differences(runs),
        "census": census_bars(dataset),
        "commands": COMMANDS,
    }

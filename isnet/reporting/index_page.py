"""Writes the report: a page that compares all runs, one page per run, and the results tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from isnet.io.atomic_files import write_text
from isnet.records.result_reader import COMMANDS, DatasetResults, RunResults, read_results
from isnet.reporting.class_charts import census_bars, class_colours, class_dots
from isnet.reporting.curve_charts import compare_curves
from isnet.reporting.embedded_image import BUDGET
from isnet.reporting.findings import concerns, rank_methods, seed_notes, settings_differences
from isnet.reporting.markdown_latex_table import TextTable
from isnet.reporting.missing_run_text import MissingRun
from isnet.reporting.overlay_gallery import shared_gallery
from isnet.reporting.page_templates import render_page
from isnet.reporting.published_results import compare_with_published
from isnet.reporting.results_table import (
    NUMERIC,
    ResultGroup,
    cost_table,
    results_csv,
    results_markdown,
    results_rows,
)
from isnet.reporting.run_page import run_page
from isnet.reporting.seed_spread import RULE, seed_dots, seed_spreads, spread_table, verdicts

SCRIPTS = ("tips.js", "save.js", "axes.js", "charts.js", "scatter.js", "copy.js", "viewer.js")

PAGE_COLUMNS = (
    *("Run", "Method", "mIoU", "95 % interval", "mIoU(ms+flip)", "Boundary mIoU", "mDice"),
    *("Backbone", "Crop Size", "Lr schd", "config"),
)
"""Columns of the results table on the page, most important first: a phone shows few columns."""

_LOG_RATIO = 10  # max/min ratio of speeds above which their axis is logarithmic


def write_report(
    runs: list[str],
    *,
    results: Path,
    reports: Path,
    settings: Mapping[str, Mapping[str, object]],
    settings_errors: Mapping[str, str] | None = None,
    missing: Sequence[MissingRun] = (),
    exports: Path | None = None,
) -> Path:
    """Write the report under `reports`, and return the path of its index.

    The files are `index.html`, `runs/<run>.html`, `results.md` and `results.csv`. Each is written
    atomically, the index last. The same inputs give the same bytes. Raises UserError if a stage's
    record is missing.

    Args:
        runs: runs with results.
        results: folder of the stages' records.
        reports: folder of the report.
        settings: flattened settings by run. A run without an entry uses those in its `train.json`.
        settings_errors: why the settings of some of these runs can no longer be read, by run.
        missing: runs without results. The report lists them, and their pages are deleted. If all
            runs are missing, `results.csv` is deleted too.
        exports: output folder of `isnet export`, which may be absent.
    """
    groups: list[ResultGroup] = []
    if runs or not missing:
        groups = read_results(
            runs,
            results=results,
            settings=settings,
            settings_errors=settings_errors,
            exports=exports,
        )
    for dataset, group in groups:
        for run in group:
            write_text(reports / "runs" / f"{run.name}.html", run_page(dataset, run, BUDGET))
    write_text(reports / "results.md", results_markdown(groups, missing))
    stale = [reports / "runs" / f"{entry.run}.html" for entry in missing]
    if groups:
        write_text(reports / "results.csv", results_csv(groups))
    else:
        stale.append(reports / "results.csv")
    for path in stale:
        path.unlink(missing_ok=True)
    index = reports / "index.html"
    write_text(index, render_page("index.html.j2", _context(groups, missing), scripts=SCRIPTS))
    return index


def _context(groups: Sequence[ResultGroup], missing: Sequence[MissingRun]) -> dict[str, object]:
    budget = BUDGET // max(1, len(groups))
    sections = [_section(dataset, group, budget, missing) for dataset, group in groups]
    shown = {dataset.name for dataset, _ in groups}
    waiting: dict[str, list[MissingRun]] = {}
    for entry in missing:
        if entry.dataset not in shown:
            waiting.setdefault(entry.dataset, []).append(entry)
    return {
        "sections": sections,
        "waiting": waiting,
        "data": {
            "charts": [chart for section in sections for chart in section["charts"]],
            "scatters": [section["scatter"] for section in sections if section["scatter"]],
            "copies": dict(copy for section in sections for copy in section["copies"].items()),
        },
    }


def _section(
    dataset: DatasetResults, runs: list[RunResults], budget: int, missing: Sequence[MissingRun]
) -> dict[str, Any]:
    """Return the template context of one data set's section on the comparison page."""
    name = dataset.name
    # Keys are ids of the page, which has the charts of every data set.
    charts = [chart | {"key": f"{name}-{chart['key']}"} for chart in compare_curves(runs)]
    scatter, ranking = _speed_scatter(runs), rank_methods(runs)
    return {
        "dataset": dataset,
        "runs": runs,
        "ranking": ranking,
        "notes": seed_notes(ranking),
        "concerns": concerns(dataset, runs),
        "coverage": runs[0].coverage,
        "columns": PAGE_COLUMNS,
        "numeric": NUMERIC,
        "missing": [entry for entry in missing if entry.dataset == name],
        "charts": charts,
        "scatter": scatter and scatter | {"key": f"{name}-speed"},
        "classes": class_dots(dataset, runs),
        "gallery": shared_gallery(runs, budget) if len(runs) > 1 else None,
        "legend": list(class_colours(dataset).items()),
        "differences": settings_differences(runs),
        "census": census_bars(dataset.census),
        "commands": COMMANDS,
        **_tables(dataset, runs),
    }


def _tables(dataset: DatasetResults, runs: list[RunResults]) -> dict[str, Any]:
    """Return the tables of a data set for its page, with the texts that the copy buttons copy."""
    rows, cost, methods = results_rows(dataset, runs), cost_table(runs), seed_spreads(runs)
    official = compare_with_published(dataset, runs)
    seeds = methods and {
        "table": spread_table(methods),
        "dots": seed_dots(methods),
        "verdicts": verdicts(methods),
        "rule": RULE,
    }
    # As on the page: file names of configs without their folder.
    shown = [row | {"config": PurePosixPath(row["config"]).name} for row in rows]
    tables = {"results": TextTable(PAGE_COLUMNS, shown, NUMERIC), "cost": cost}
    tables |= {"official": official.table} if official else {}
    tables |= {"seeds": spread_table(methods)} if methods else {}
    copies = {
        f"{dataset.name}-{key}": {"Markdown": table.markdown(), "LaTeX": table.latex()}
        for key, table in tables.items()
    }
    return {"rows": rows, "official": official, "seeds": seeds, "cost": cost, "copies": copies}


def _speed_scatter(runs: Sequence[RunResults]) -> dict[str, object] | None:
    """Return the data of a scatter plot of mIoU over inference speed, with one point per run.

    Returns None for fewer than two runs with a speed and a score. `x` is images per second at
    single scale, and `y` is mIoU in 0..1. `style` is the position of the run in `runs`.
    """
    points: list[dict[str, Any]] = []
    machines = set()
    for style, run in enumerate(runs):
        speed, score = run.evaluated.images_per_second, run.evaluated.single_scale.mIoU
        if speed and score is not None:
            points.append({"name": run.name, "style": style, "x": speed, "y": score})
            environment = run.evaluated.environment
            machines.add(str(environment.gpus or environment.hardware))
    if len(points) < 2:
        return None
    speeds = [point["x"] for point in points]
    is_wide = max(speeds) > _LOG_RATIO * min(speeds)
    note = "Measured on different machines: the speeds are not comparable."
    return {"points": points, "log": is_wide, "note": note if len(machines) > 1 else ""}

"""The `report` stage, and the results table on the terminal."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from isnet.pipeline.missing_runs import missing_runs
from isnet.pipeline.mlflow_updates import track
from isnet.settings.plan import Plan

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from isnet.reporting.missing_results import MissingRun

_log = logging.getLogger(__name__)

_SHOWN = ("Data set", "Run", "Method", "Lr schd", "Inf time (fps)", "mIoU", "mIoU(ms+flip)")
"""Columns that fit a terminal; reports/results.md has all."""

_EXPORTS = Path("exports")
"""Folder that `isnet export` writes to, relative to the checkout."""


def report(plan: Plan) -> None:
    """Write the pages and tables of all runs of params.yaml.

    Runs without results are listed with the command that continues them.
    """
    from isnet.reporting import write_report
    from isnet.reporting.missing_results import missing_line

    missing = missing_runs(plan)
    shown = _shown(plan, missing)
    page = write_report(
        shown,
        results=plan.layout.results,
        reports=plan.layout.reports,
        settings={name: plan.runs[name].settings for name in shown},
        missing=missing,
        exports=_EXPORTS,
    )
    if missing:
        _log.info(missing_line(missing, len(plan.runs)))
    _log.info(f"open {page.resolve()}")
    track(plan)


def _shown(plan: Plan, missing: list[MissingRun]) -> list[str]:
    names = {entry.run for entry in missing}
    return [name for name in plan.runs if name not in names]


def print_results(plan: Plan) -> None:
    """Print the results table, the missing runs, the path of the report and the MLflow command."""
    from rich.console import Console as RichConsole

    # Without a terminal, rich assumes a width of 80, which breaks names.
    out = RichConsole() if sys.stdout.isatty() else RichConsole(width=120)
    missing = missing_runs(plan)
    if shown := _shown(plan, missing):
        _print_table(out, shown, plan.layout.results)
    for entry in missing:
        log = f"; log {entry.log}" if entry.log else ""
        _line(out, f"missing  {entry.run}: {entry.why}; `{entry.command}`{log}")
    page: Path = plan.layout.reports / "index.html"
    _line(out, f"report   {page.resolve()}")
    _line(out, "table    reports/results.md")
    activate = "" if os.environ.get("VIRTUAL_ENV") else ". .venv/bin/activate && "
    _line(out, f"MLflow   {activate}mlflow ui")


def _print_table(out: RichConsole, runs: list[str], results: Path) -> None:
    from rich.table import Table

    from isnet.reporting import results_table

    table = Table(header_style="bold")
    for column in _SHOWN:
        table.add_column(column)
    for row in results_table(runs, results=results):
        table.add_row(*(row[column] for column in _SHOWN))
    out.print(table)


def _line(out: RichConsole, text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)

"""The `report` stage, and what the user sees at the end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from isnet.console import Console
from isnet.plan import Plan
from isnet.stages.track import track

__all__ = ["print_results", "report"]

_SHOWN = ("Data set", "Run", "Method", "Lr schd", "Inf time (fps)", "mIoU", "mIoU(ms+flip)")
"""What fits a terminal; the rest is in reports/results.md."""


def report(plan: Plan, console: Console) -> None:
    """Write the pages and tables of all runs of params.yaml."""
    from isnet.reporting import write_report

    page = write_report(
        list(plan.runs),
        results=plan.layout.results,
        reports=plan.layout.reports,
        settings={name: planned.settings for name, planned in plan.runs.items()},
    )
    console.line(f"open {page.resolve()}")
    for name in plan.runs:
        track(plan, name, console)


def print_results(plan: Plan) -> None:
    """Print the table of results, where the report is and how to open MLflow."""
    from rich.console import Console as RichConsole
    from rich.table import Table

    from isnet.reporting import results_table

    rows = results_table(list(plan.runs), results=plan.layout.results)
    table = Table(header_style="bold")
    for column in _SHOWN:
        table.add_column(column)
    for row in rows:
        table.add_row(*(row[column] for column in _SHOWN))
    # Where there is no terminal, its width is a guess of 80 that breaks names.
    out = RichConsole() if sys.stdout.isatty() else RichConsole(width=120)
    out.print(table)
    page: Path = plan.layout.reports / "index.html"
    out.print(f"report   {page.resolve()}", highlight=False, soft_wrap=True)
    out.print("table    reports/results.md", highlight=False)
    activate = "" if os.environ.get("VIRTUAL_ENV") else ". .venv/bin/activate && "
    out.print(f"MLflow   {activate}mlflow ui", highlight=False)

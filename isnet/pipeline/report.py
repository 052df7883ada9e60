"""Writes the report of all runs (the `report` stage) and prints the results table."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isnet.errors import UserError
from isnet.extras import is_installed
from isnet.pipeline.missing_runs import missing_runs
from isnet.pipeline.mlflow_updates import track
from isnet.settings.plan import Plan

if TYPE_CHECKING:
    from isnet.reporting.missing_run_text import MissingRun

_log = logging.getLogger(__name__)

_EXPORTS = Path("exports")  # default output folder of `isnet export`, relative to the checkout


def report(plan: Plan) -> None:
    """Write the report: pages and tables of all runs of params.yaml.

    Runs without results are listed with the command that continues them.
    """
    from isnet.reporting.index_page import write_report
    from isnet.reporting.missing_run_text import missing_line

    shown, missing = split_runs(plan)
    page = write_report(
        shown,
        results=plan.layout.results,
        reports=plan.layout.reports,
        settings={name: planned.settings for name, planned in plan.runs.items()},
        settings_errors=_settings_errors(plan, shown),
        missing=missing,
        exports=_EXPORTS,
    )
    if missing:
        _log.info(missing_line(missing, len(shown) + len(missing)))
    _log.info(f"open {page.resolve()}")
    track(plan)


def split_runs(plan: Plan) -> tuple[list[str], list[MissingRun]]:
    """Return the names of the runs with results, and the correct runs without.

    A wrong entry of params.yaml has results if its scores are those of its trained weights. Raises
    UserError, that of the first wrong entry, if there is neither.
    """
    missing = missing_runs(plan)
    without = {entry.run for entry in missing}
    wrong = [entry.removeprefix("runs.") for entry in plan.wrong if entry.startswith("runs.")]
    shown = [name for name in plan.runs if name not in without]
    shown += [name for name in wrong if _is_scored_as_trained(name, plan.layout.results)]
    if plan.wrong and not shown and not missing:
        raise next(iter(plan.wrong.values()))
    return shown, missing


def _settings_errors(plan: Plan, runs: Sequence[str]) -> dict[str, str]:
    """Return the errors of those of the runs whose entries are wrong, by run."""
    wrong = {name: plan.wrong.get(f"runs.{name}") for name in runs}
    return {name: str(error) for name, error in wrong.items() if error}


def _is_scored_as_trained(name: str, results: Path) -> bool:
    from isnet.records.result_reader import read_results

    try:
        [(_, [run])] = read_results([name], results=results, settings={})
    except UserError:  # without its records, it has no results
        return False
    return run.evaluated.weights_sha256 == run.trained.weights_sha256


def print_results(plan: Plan) -> None:
    """Print the results table, the missing runs, the path of the report and the MLflow command."""
    from rich.console import Console
    from rich.table import Table

    from isnet.reporting.findings import unreadable_settings
    from isnet.reporting.results_table import TERMINAL_COLUMNS, results_table

    # Without a terminal, rich assumes a width of 80, which breaks names.
    out = Console() if sys.stdout.isatty() else Console(width=120)
    shown, missing = split_runs(plan)
    if shown:
        table = Table(*TERMINAL_COLUMNS, header_style="bold")
        for row in results_table(shown, results=plan.layout.results):
            table.add_row(*(row[column] for column in TERMINAL_COLUMNS))
        out.print(table)
    for name, error in _settings_errors(plan, shown).items():
        print(f"settings {name}: {unreadable_settings(error)}")
    for entry in missing:
        log = f"; log {entry.log}" if entry.log else ""
        print(f"missing  {entry.run}: {entry.why}; `{entry.command}`{log}")
    print(f"report   {(plan.layout.reports / 'index.html').resolve()}")
    print("table    reports/results.md")
    if not is_installed("mlflow"):
        return
    activate = "" if os.environ.get("VIRTUAL_ENV") else ". .venv/bin/activate && "
    print(f"MLflow   {activate}mlflow ui")

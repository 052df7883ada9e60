"""`isnet status`: prints the progress of every run of params.yaml, one line each."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from isnet.errors import USER_ERROR
from isnet.io.console import format_bytes
from isnet.io.lock_owner import LockOwner
from isnet.pipeline.run_status import (
    RunStatus,
    UnusedFolders,
    dataset_status,
    run_status,
    unnamed_runs,
)
from isnet.settings.partial_plan import error_lines, plan_without_wrong_entries

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

_DROPPED_FIRST = ("Checkpoints", "Disk", "Held by", "mIoU (best)", "ETA")
"""Columns that are left out on a narrow terminal, in this order."""
_NUMERIC = ("Iteration", "ETA", "mIoU (best)", "Checkpoints", "Disk")
_GAP = 2
_NONE = "-"


def print_status(*, as_json: bool) -> int:
    """Print the progress of every run and data set, as a table or as JSON; write no file.

    Returns 0, or 2 if entries of params.yaml are wrong: their errors are printed below the others.
    Raises UserError if params.yaml cannot be read.
    """
    plan = plan_without_wrong_entries()
    datasets = {name: dataset_status(plan, name) for name in plan.params.datasets}
    runs = [
        run_status(plan, name, datasets[planned.run.dataset].digest)
        for name, planned in plan.runs.items()
    ]
    unnamed = unnamed_runs(plan)
    if as_json:
        wrong = {name: str(error) for name, error in plan.wrong.items()}
        found = {
            "runs": [asdict(status) for status in runs],
            "datasets": [asdict(status) for status in datasets.values()],
            "not_in_params": asdict(unnamed),
            **({"wrong": wrong} if wrong else {}),
        }
        print(json.dumps(found, indent=2))
        return USER_ERROR if plan.wrong else 0
    from rich.console import Console as RichConsole

    out = RichConsole(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 120))
    dropped = _print_table(out, [_row(status) for status in runs]) if runs else []
    sets = [
        f"{each.dataset} {each.stage}"
        + (f", packed ({format_bytes(each.packed_bytes)})" if each.packed_bytes else "")
        for each in datasets.values()
    ]
    others = [
        f"{run.run} {_usage(run.others, 'other training')}" for run in runs if run.others.count
    ]
    given = [f"{run.run} {run.weights}" for run in runs if run.weights]
    for title, values in (
        ("a wider terminal also shows: ", ", ".join(dropped)),
        ("data sets: ", "; ".join(sets)),
        ("scores weights that were not trained here: ", "; ".join(given)),
        ("with other settings or data, in work/runs: ", "; ".join(others)),
        ("not in params.yaml, in work/runs: ", _usage(unnamed, "run") if unnamed.count else ""),
    ):
        if values:
            print(title + values)
    for error in error_lines(plan.wrong):
        print(f"isnet: {error}", file=sys.stderr)
    return USER_ERROR if plan.wrong else 0


def _print_table(out: RichConsole, rows: list[dict[str, str]]) -> list[str]:
    """Print a table with the columns that fit the terminal; return the names of the others."""
    from rich.table import Table

    shown = list(rows[0])
    dropped: list[str] = []
    needed = {column: max(len(column), *(len(row[column]) for row in rows)) for column in shown}
    for column in _DROPPED_FIRST:
        if sum(needed[name] + _GAP for name in shown) - _GAP <= out.width:
            break
        shown.remove(column)
        dropped.insert(0, column)
    table = Table(box=None, header_style="bold", padding=(0, _GAP, 0, 0), pad_edge=False)
    for column in shown:
        justify: Literal["left", "right"] = "right" if column in _NUMERIC else "left"
        table.add_column(column, justify=justify, no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(row[column] for column in shown))
    out.print(table, highlight=False, markup=False)
    return dropped


def _row(status: RunStatus) -> dict[str, str]:
    iterations, size = status.checkpoints.iterations, format_bytes(status.checkpoints.bytes)
    more = f"+{len(iterations) - 1}" if len(iterations) > 1 else ""
    metric = [status.metric] if status.metric != "mIoU" and status.best else []
    last = [f"{status.score:.2%}"] if status.score is not None else []
    best = [f"({status.best[status.metric]:.2%})"] if status.best else []
    return {
        "Run": status.run,
        "Stage": status.stage,
        "Iteration": _progress(status),
        "ETA": _NONE if status.seconds_left is None else _duration(status.seconds_left),
        "mIoU (best)": " ".join(metric + last + best) or _NONE,
        "Held by": _owner(status.holder) if status.holder else _NONE,
        "Checkpoints": f"{iterations[-1]}{more} {size}" if iterations else _NONE,
        "Disk": format_bytes(status.bytes) if status.bytes else _NONE,
    }


def _progress(status: RunStatus) -> str:
    if not status.iterations:
        return _NONE
    percent = int(100 * status.iteration / status.iterations)
    return f"{status.iteration}/{status.iterations} {percent:3d}%"


def _owner(owner: LockOwner) -> str:
    since = datetime.fromtimestamp(owner.since)
    is_today = since.date() == datetime.now().date()
    return f"{owner.host}:{owner.pid} {since:{'%H:%M' if is_today else '%m-%d'}}"


def _duration(seconds: float) -> str:
    """Format a duration as seconds, minutes, hours and minutes, or days and hours."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    return (
        f"{minutes // 60}:{minutes % 60:02d} h" if hours < 48 else f"{hours // 24} d {hours % 24} h"
    )


def _usage(folders: UnusedFolders, what: str) -> str:
    plural = "s" * (folders.count != 1)
    return f"{folders.count} {what}{plural}, {format_bytes(folders.bytes)}"

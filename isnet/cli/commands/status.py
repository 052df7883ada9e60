"""`isnet status`: progress of every run of params.yaml, one line each."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from isnet.io.console import format_bytes
from isnet.io.lock_owner import LockOwner
from isnet.pipeline.run_status import (
    DatasetStatus,
    RunStatus,
    UnusedFolders,
    dataset_status,
    run_status,
    unnamed_runs,
)
from isnet.settings.plan import Plan

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

__all__ = ["print_status"]

_DROPPED_FIRST = ("Checkpoints", "Disk", "Held by", "mIoU (best)", "ETA")
"""Columns that a narrow terminal drops, in this order."""
_NUMERIC = ("Iteration", "ETA", "mIoU (best)", "Checkpoints", "Disk")
_GAP = 2
_NONE = "-"


def print_status(plan: Plan, *, as_json: bool) -> None:
    """Print the progress of every run and data set, as a table or as JSON."""
    datasets = {name: dataset_status(plan, name) for name in plan.params.datasets}
    runs = [
        run_status(plan, name, datasets[planned.run.dataset].digest)
        for name, planned in plan.runs.items()
    ]
    unnamed = unnamed_runs(plan)
    if as_json:
        print(json.dumps(_as_json(runs, list(datasets.values()), unnamed), indent=2))
        return
    from rich.console import Console as RichConsole

    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 120)
    out = RichConsole(width=width)
    _print_runs(out, runs)
    states = [f"{status.dataset} {_dataset(status)}" for status in datasets.values()]
    _line(out, f"data sets: {'; '.join(states)}")
    for line in _unused(runs, unnamed):
        _line(out, line)


def _line(out: RichConsole, text: str) -> None:
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def _print_runs(out: RichConsole, runs: list[RunStatus]) -> None:
    from rich.table import Table

    rows = [_row(status) for status in runs]
    shown, dropped = _fitting(rows, out.width)
    table = Table(box=None, header_style="bold", padding=(0, _GAP, 0, 0), pad_edge=False)
    for column in shown:
        table.add_column(
            column,
            justify="right" if column in _NUMERIC else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in rows:
        table.add_row(*(row[column] for column in shown))
    out.print(table, highlight=False, markup=False)
    if dropped:
        _line(out, f"a wider terminal also shows: {', '.join(dropped)}")


def _fitting(rows: list[dict[str, str]], width: int) -> tuple[list[str], list[str]]:
    """Return the columns that fit into `width` characters, and those that do not."""
    shown = list(rows[0])
    dropped: list[str] = []
    needed = {column: max(len(column), *(len(row[column]) for row in rows)) for column in shown}
    for column in _DROPPED_FIRST:
        if sum(needed[name] + _GAP for name in shown) - _GAP <= width:
            break
        shown.remove(column)
        dropped.insert(0, column)
    return shown, dropped


def _row(status: RunStatus) -> dict[str, str]:
    done = f"{status.iteration}/{status.iterations}"
    kept = status.checkpoints.iterations
    more = f"+{len(kept) - 1}" if len(kept) > 1 else ""
    return {
        "Run": status.run,
        "Stage": status.stage,
        "Iteration": f"{done} {int(100 * status.iteration / status.iterations):3d}%",
        "ETA": _duration(status.seconds_left),
        "mIoU (best)": _scores(status),
        "Held by": _held_by(status.holder),
        "Checkpoints": f"{kept[-1]}{more} {format_bytes(status.checkpoints.bytes)}"
        if kept
        else _NONE,
        "Disk": format_bytes(status.bytes) if status.bytes else _NONE,
    }


def _scores(status: RunStatus) -> str:
    best = f"({status.best['mIoU']:.2%})" if status.best else ""
    last = f"{status.mIoU:.2%}" if status.mIoU is not None else ""
    return f"{last} {best}".strip() or _NONE


def _held_by(holder: LockOwner | None) -> str:
    if holder is None:
        return _NONE
    since = datetime.fromtimestamp(holder.since)
    is_today = since.date() == datetime.now().date()
    return f"{holder.host}:{holder.pid} {since:{'%H:%M' if is_today else '%m-%d'}}"


def _duration(seconds: float | None) -> str:
    """Return a duration in its two largest units."""
    if seconds is None:
        return _NONE
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 60:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    if hours < 48:
        return f"{minutes // 60}:{minutes % 60:02d} h"
    return f"{hours // 24} d {hours % 24} h"


def _dataset(status: DatasetStatus) -> str:
    packed = f", packed ({format_bytes(status.packed_bytes)})" if status.packed_bytes else ""
    return f"{status.stage}{packed}"


def _unused(runs: list[RunStatus], unnamed: UnusedFolders) -> list[str]:
    """Return lines on the disk space of trainings with other settings, which are kept."""
    others = [
        f"{status.run} {_counted(status.others.count, 'other training')}, "
        f"{format_bytes(status.others.bytes)}"
        for status in runs
        if status.others.count
    ]
    lines = [f"with other settings or data, in work/runs: {'; '.join(others)}"] if others else []
    if unnamed.count:
        lines.append(
            f"not in params.yaml, in work/runs: {_counted(unnamed.count, 'run')}, "
            f"{format_bytes(unnamed.bytes)}"
        )
    return lines


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _as_json(
    runs: list[RunStatus], datasets: list[DatasetStatus], unnamed: UnusedFolders
) -> dict[str, Any]:
    return {
        "runs": [asdict(status) for status in runs],
        "datasets": [asdict(status) for status in datasets],
        "not_in_params": asdict(unnamed),
    }

"""Prepares the data of line charts over iterations, which `templates/charts.js` draws."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from isnet.records.result_reader import RunResults, Series
from isnet.records.run_records import CurvePoint

POINTS = 500  # most points per line: a screen shows no more, and every page stores them
LOG_RATIO = 30  # max/min ratio above which a positive series gets a logarithmic axis

Line = dict[str, Any]
"""One line of a chart: name, style (the index of its colour and dashes), x and y."""
Chart = dict[str, Any]
"""A line chart over iterations as JSON for the page's script.

`form`, the number format of y, is plain, percent, rate or power.
"""


def run_curves(run: RunResults) -> list[Chart]:
    """Return line charts of one run: loss terms, validation, learning rate, speed and memory."""
    curves = run.curves
    others = CurvePoint.model_fields.keys() - {"loss"}
    terms = [name for name in curves if name not in others and _has(curves, name)]
    loss = [_line(term, i, curves, term) for i, term in enumerate(terms)]
    width = math.ceil(len(curves.get("iteration", [])) / POINTS)
    note = f"Each point is the mean of {width} logged values." if width > 1 else ""

    def lines(column: str, table: Series = curves) -> list[Line]:
        return [_line(column, 0, table, column)] if _has(table, column) else []

    return _charts(
        ("loss", "Training loss", "loss", "plain", loss, note),
        ("validation", "Validation mIoU", "%", "percent", lines("mIoU", run.validation)),
        ("lr", "Learning rate", "", "power", lines("lr")),
        ("speed", "Training speed", "images/s", "rate", lines("images_per_second")),
        ("wait", "Waiting for data", "% of time", "percent", lines("data_wait")),
        ("memory", "Peak memory", "GB", "plain", lines("memory_gb")),
    )


def compare_curves(runs: Sequence[RunResults]) -> list[Chart]:
    """Return line charts that compare the validation scores and losses of runs on one data set.

    The position of a run in `runs` sets the style of its line.
    """

    def lines(tables: Iterable[Series], column: str) -> list[Line]:
        return [
            _line(runs[i].name, i, table, column)
            for i, table in enumerate(tables)
            if _has(table, column)
        ]

    loss = lines((run.curves for run in runs), "loss")
    scores = lines((run.validation for run in runs), "mIoU")
    note = "Different heads sum different loss terms: compare the shape, not the height."
    return _charts(
        ("validation", "Validation mIoU", "%", "percent", scores),
        ("loss", "Training loss (all terms)", "loss", "plain", loss, note),
    )


def _charts(*charts: tuple[Any, ...]) -> list[Chart]:
    """Build charts from tuples (key, title, unit, number format, lines, note).

    The note is optional. Charts without lines are left out.
    """
    return [
        {"key": key, "title": title, "unit": unit, "form": form, "lines": lines}
        | {"log": key == "loss" and _is_wide(lines), "note": "".join(note)}
        for key, title, unit, form, lines, *note in charts
        if lines
    ]


def average_points(
    x: Sequence[float | None], y: Sequence[float | None]
) -> tuple[list[float], list[float | None]]:
    """Average neighbouring points of a curve so that at most `POINTS` remain."""
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if a is not None]
    width = max(1, math.ceil(len(pairs) / POINTS))
    blocks = [pairs[start : start + width] for start in range(0, len(pairs), width)]
    known = [[b for _, b in block if b is not None] for block in blocks]
    means = [float(f"{sum(some) / len(some):.6g}") if some else None for some in known]
    # The end of a block, so that the last point keeps its iteration.
    return [block[-1][0] for block in blocks], means


def _line(name: str, style: int, table: Series, column: str) -> Line:
    x, y = average_points(table["iteration"], table[column])
    return {"name": name, "style": style, "x": x, "y": y}


def _has(table: Series, column: str) -> bool:
    return "iteration" in table and any(value is not None for value in table.get(column, []))


def _is_wide(lines: Iterable[Line]) -> bool:
    values = [v for line in lines for v in line["y"] if v is not None]
    return bool(values) and min(values) > 0 and max(values) > LOG_RATIO * min(values)

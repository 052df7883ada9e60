"""Data of the line charts over iterations; `templates/charts.js` draws them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isnet.records.result_reader import RunResults, Series
from isnet.records.run_records import CurvePoint

POINTS = 500  # most points per line: a screen shows no more, and every page stores them
LOG_RATIO = 30  # max/min ratio above which a positive series gets a logarithmic axis


@dataclass(frozen=True)
class CurveLine:
    """One line of a chart; `style` is the index of its colour and dashes."""

    name: str
    style: int
    x: list[float]
    y: list[float | None]


@dataclass(frozen=True)
class CurveChart:
    """A chart over iterations; `form` is the number format: plain, percent, rate or power."""

    key: str
    title: str
    unit: str
    form: str
    lines: list[CurveLine]
    log: bool = False
    zero: bool = True
    note: str = ""


def run_curves(run: RunResults) -> list[CurveChart]:
    """Return the curves of one run: loss terms, validation, learning rate, speed, memory."""
    curves = run.curves
    others = CurvePoint.model_fields.keys() - {"loss"}
    terms = [name for name in curves if name not in others and _has(curves, name)]
    loss = [_line(term, i, curves, term) for i, term in enumerate(terms)]
    width = math.ceil(len(curves.get("iteration", [])) / POINTS)
    note = f"Each point is the mean of {width} logged values." if width > 1 else ""

    def lines(column: str, table: Series = curves) -> list[CurveLine]:
        return [_line(column, 0, table, column)] if _has(table, column) else []

    charts = [
        CurveChart("loss", "Training loss", "loss", "plain", loss, log=_is_wide(loss), note=note),
        CurveChart("validation", "Validation mIoU", "%", "percent", lines("mIoU", run.validation)),
        CurveChart("lr", "Learning rate", "", "power", lines("lr")),
        CurveChart("speed", "Training speed", "images/s", "rate", lines("images_per_second")),
        CurveChart("wait", "Waiting for data", "% of time", "percent", lines("data_wait")),
        CurveChart("memory", "Peak memory", "GB", "plain", lines("memory_gb")),
    ]
    return [chart for chart in charts if chart.lines]


def compare_curves(runs: Sequence[RunResults]) -> list[CurveChart]:
    """Return the validation and loss curves of runs of one data set; their order sets the style."""

    def lines(tables: Iterable[Series], column: str) -> list[CurveLine]:
        return [
            _line(runs[i].name, i, table, column)
            for i, table in enumerate(tables)
            if _has(table, column)
        ]

    loss = lines((run.curves for run in runs), "loss")
    scores = lines((run.validation for run in runs), "mIoU")
    note = "Different heads sum different loss terms: compare the shape, not the height."
    name, is_wide = "Training loss (all terms)", _is_wide(loss)
    charts = [
        CurveChart("validation", "Validation mIoU", "%", "percent", scores),
        CurveChart("loss", name, "loss", "plain", loss, is_wide, note=note),
    ]
    return [chart for chart in charts if chart.lines]


def average_points(
    x: Sequence[float | None], y: Sequence[float | None]
) -> tuple[list[float], list[float | None]]:
    """Average neighbouring points so that at most `POINTS` remain."""
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if a is not None]
    width = max(1, math.ceil(len(pairs) / POINTS))
    blocks = [pairs[start : start + width] for start in range(0, len(pairs), width)]
    known = [[b for _, b in block if b is not None] for block in blocks]
    means = [float(f"{sum(some) / len(some):.6g}") if some else None for some in known]
    # The end of a block, so that the last point keeps its iteration.
    return [block[-1][0] for block in blocks], means


def _line(name: str, style: int, table: Series, column: str) -> CurveLine:
    return CurveLine(name, style, *average_points(table["iteration"], table[column]))


def _has(table: Series, column: str) -> bool:
    return "iteration" in table and any(value is not None for value in table.get(column, []))


def _is_wide(lines: Iterable[CurveLine]) -> bool:
    values = [v for line in lines for v in line.y if v is not None]
    return bool(values) and min(values) > 0 and max(values) > LOG_RATIO * min(values)

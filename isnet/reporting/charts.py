"""The data behind the figures; the page's own script (`templates/charts.js`) draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from isnet.records.convert_record import SplitCounts
from isnet.records.evaluate_record import ClassScore, Confusion
from isnet.records.result_reader import DatasetResults, RunResults, Series

__all__ = [
    "Chart",
    "census_bars",
    "class_bars",
    "class_dots",
    "comparison_charts",
    "confused_pairs",
    "confusion_data",
    "run_charts",
]

POINTS = 500
"""Points per line, at most: more are not seen on a screen, but are carried by every page."""

LOG_RATIO = 30
"""A positive series that spans more than this is drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Line:
    """One line of a chart; `style` numbers its colour and dashes."""

    name: str
    style: int
    x: list[float]
    y: list[float | None]


@dataclass(frozen=True)
class Chart:
    """One chart over iterations. `form` says how values are written: percent, rate ..."""

    key: str
    title: str
    unit: str
    form: str
    lines: list[Line]
    log: bool = False
    zero: bool = True
    note: str = ""

    def data(self) -> dict[str, object]:
        """Return what the page's script reads."""
        return asdict(self)


def thin(
    x: Sequence[float | None], y: Sequence[float | None]
) -> tuple[list[float], list[float | None]]:
    """Replace neighbouring points by their means until at most `POINTS` are left."""
    pairs = [(a, b) for a, b in zip(x, y, strict=True) if a is not None]
    width = max(1, math.ceil(len(pairs) / POINTS))
    xs: list[float] = []
    ys: list[float | None] = []
    for start in range(0, len(pairs), width):
        block = pairs[start : start + width]
        known = [b for _, b in block if b is not None]
        # The end of the block, so that the last point keeps its iteration.
        xs.append(block[-1][0])
        ys.append(_short(sum(known) / len(known)) if known else None)
    return xs, ys


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _line(name: str, style: int, table: Series, column: str) -> Line:
    x, y = thin(table["iteration"], table[column])
    return Line(name, style, x, y)


def _has(table: Series, column: str) -> bool:
    return "iteration" in table and any(value is not None for value in table.get(column, []))


def _wide(lines: Iterable[Line]) -> bool:
    values = [v for line in lines for v in line.y if v is not None]
    return bool(values) and min(values) > 0 and max(values) > LOG_RATIO * min(values)


def _note(*tables: Series) -> str:
    rows = max((len(table.get("iteration", [])) for table in tables), default=0)
    width = math.ceil(rows / POINTS)
    return f"Each point is the mean of {width} logged values." if width > 1 else ""


def run_charts(run: RunResults) -> list[Chart]:
    """Return the curves of one run: loss terms, validation, learning rate, speed, memory."""
    curves = run.curves
    names = ["lr", "images_per_second", "data_wait", "memory_gb", "iteration"]
    terms = [c for c in curves if c not in names and _has(curves, c)]
    loss = [_line(term, i, curves, term) for i, term in enumerate(terms)]
    note = _note(curves)
    charts = [
        Chart("loss", "Training loss", "loss", "plain", loss, log=_wide(loss), note=note),
        Chart("validation", "Validation mIoU", "%", "percent", _lines(run.validation, "mIoU")),
        Chart("lr", "Learning rate", "", "power", _lines(curves, "lr")),
        Chart("speed", "Training speed", "images/s", "rate", _lines(curves, "images_per_second")),
        Chart("wait", "Waiting for data", "% of time", "percent", _lines(curves, "data_wait")),
        Chart("memory", "Peak memory", "GB", "plain", _lines(curves, "memory_gb")),
    ]
    return [chart for chart in charts if chart.lines]


def _lines(table: Series, column: str) -> list[Line]:
    return [_line(column, 0, table, column)] if _has(table, column) else []


def comparison_charts(runs: Sequence[RunResults]) -> list[Chart]:
    """Return the curves of runs of one data set; their order gives the styles."""
    validation = [
        _line(run.name, i, run.validation, "mIoU")
        for i, run in enumerate(runs)
        if _has(run.validation, "mIoU")
    ]
    loss = [
        _line(run.name, i, run.curves, "loss")
        for i, run in enumerate(runs)
        if _has(run.curves, "loss")
    ]
    note = "Losses of different heads sum different terms: compare the course, not the height."
    charts = [
        Chart("validation", "Validation mIoU", "%", "percent", validation),
        Chart("loss", "Training loss (all terms)", "loss", "plain", loss, _wide(loss), note=note),
    ]
    return [chart for chart in charts if chart.lines]


def class_bars(dataset: DatasetResults, run: RunResults) -> list[dict[str, object]]:
    """Return one bar per class: IoU with its interval, boundary IoU, baseline, share of pixels."""
    colours = _colours(dataset)
    base = _baseline(dataset)
    total = sum(score.pixels for score in run.per_class) or 1
    return [
        {
            "name": score.name,
            "colour": colours.get(score.name),
            "iou": score.iou,
            "low": score.iou_low,
            "high": score.iou_high,
            "boundary": score.boundary_iou,
            "multi": score.iou_ms_flip,
            "accuracy": score.accuracy,
            "baseline": base.get(score.name),
            "share": score.pixels / total,
        }
        for score in run.per_class
    ]


def class_dots(dataset: DatasetResults, runs: Sequence[RunResults]) -> list[dict[str, object]]:
    """Return one line per class with the single-scale IoU of every run, in the runs' order."""
    colours, base = _colours(dataset), _baseline(dataset)
    scores: list[dict[str, ClassScore]] = [{s.name: s for s in run.per_class} for run in runs]
    return [
        {
            "name": name,
            "colour": colours.get(name),
            "iou": [known[name].iou if name in known else None for known in scores],
            "baseline": base.get(name),
        }
        for name in dict.fromkeys(name for known in scores for name in known)
    ]


def _colours(dataset: DatasetResults) -> dict[str, tuple[int, int, int]]:
    manifest = dataset.manifest
    return dict(zip(manifest.classes, manifest.palette, strict=False))


def _baseline(dataset: DatasetResults) -> dict[str, float | None]:
    if dataset.baseline is None:
        return {}
    return dict(zip(dataset.manifest.classes, dataset.baseline.per_class_iou, strict=False))


def confusion_data(confusion: Confusion) -> dict[str, object]:
    """Return class names and counts for the heat map; sparse, because most pairs never happen."""
    cells = [
        [truth, predicted, count]
        for truth, row in enumerate(confusion.counts)
        for predicted, count in enumerate(row)
        if count
    ]
    return {"classes": confusion.classes, "cells": cells}


def confused_pairs(confusion: Confusion, count: int = 6) -> dict[str, list[dict[str, object]]]:
    """Return the worst pairs twice: by share of the true class, and by pixels."""
    wrong = sum(sum(row) - row[i] for i, row in enumerate(confusion.counts)) or 1
    pairs: list[tuple[float, int, dict[str, object]]] = []
    for truth, row in enumerate(confusion.counts):
        total = sum(row)
        for predicted, pixels in enumerate(row):
            if predicted != truth and pixels:
                pair: dict[str, object] = {
                    "truth": confusion.classes[truth],
                    "predicted": confusion.classes[predicted],
                    "pixels": pixels,
                    "share": pixels / total,
                    "of_wrong": pixels / wrong,
                }
                pairs.append((pixels / total, pixels, pair))
    by_share = sorted(pairs, key=lambda pair: -pair[0])[:count]
    by_pixels = sorted(pairs, key=lambda pair: -pair[1])[:count]
    return {"share": [p[2] for p in by_share], "pixels": [p[2] for p in by_pixels]}


def census_bars(dataset: DatasetResults) -> dict[str, object] | None:
    """Return pixel shares per class and split on a log axis, or None without a census."""
    census = dataset.census
    if census is None:
        return None
    shares = {
        split: [n / (sum(entry.pixels) or 1) for n in entry.pixels]
        for split, entry in census.splits.items()
    }
    known = [share for column in shares.values() for share in column if share > 0]
    # At least two decades, so that an even data set does not look like an uneven one.
    low = min(-2, max(-6, math.floor(math.log10(min(known))))) if known else -2
    classes = [
        {
            "name": name,
            "colour": colour,
            "bars": [
                {
                    "split": split,
                    "share": column[i],
                    "length": max(0.0, 1 - math.log10(column[i]) / low) if column[i] else None,
                    "images": census.splits[split].images_with_class[i],
                }
                for split, column in shares.items()
            ],
        }
        for i, (name, colour) in enumerate(zip(census.classes, census.palette, strict=True))
    ]
    ticks = [{"share": 10.0**power, "at": 1 - power / low} for power in range(low, 1)]
    return {
        "classes": classes,
        "ticks": ticks,
        "splits": [_split(s, e) for s, e in census.splits.items()],
    }


def _split(name: str, entry: SplitCounts) -> dict[str, object]:
    labelled = sum(entry.pixels)
    total = labelled + entry.ignored_pixels
    sizes = sorted(entry.sizes.items(), key=lambda item: -item[1])
    return {
        "name": name,
        "images": entry.images,
        "pixels": total,
        "ignored": entry.ignored_pixels / total if total else 0.0,
        "sizes": sizes[:4],
        "more_sizes": max(0, len(sizes) - 4),
        "absent": sum(1 for count in entry.pixels if not count),
    }

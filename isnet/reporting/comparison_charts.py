"""The figures that only a comparison has: speed against accuracy, and scores over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from isnet.records.base_record import Environment
from isnet.records.result_reader import RunResults
from isnet.reporting.seed_spread import Spread

__all__ = ["seed_dots", "speed_scatter"]

_LOG_RATIO = 10
"""Speeds that span more than this are drawn on a logarithmic axis."""

_TICKS = 5


def speed_scatter(runs: Sequence[RunResults]) -> dict[str, object] | None:
    """Return one point per run that has both numbers, or None for fewer than two.

    `x` images per second at single scale, `y` mIoU in 0..1; the runs' order gives the styles.
    """
    points = [
        {"name": run.name, "style": style, "x": speed, "y": score}
        for style, run in enumerate(runs)
        if (speed := run.evaluated.images_per_second)
        and (score := run.evaluated.single_scale.mIoU) is not None
    ]
    if len(points) < 2:
        return None
    shown = {point["name"] for point in points}
    places = {_place(run.evaluated.environment) for run in runs if run.name in shown}
    speeds = [run.evaluated.images_per_second or 0.0 for run in runs if run.name in shown]
    return {
        "key": "speed",
        "points": points,
        "log": max(speeds) > _LOG_RATIO * min(speeds),
        "note": "Measured on different machines: the speeds do not compare."
        if len(places) > 1
        else "",
    }


def _place(environment: Environment) -> str:
    return str(environment.gpus or environment.hardware)


def seed_dots(found: Sequence[Spread]) -> dict[str, Any]:
    """Return one row of points per method on an axis that spans the scores; `at` is in percent
    of its length.
    """
    scores = [score for spread in found for score in spread.scores]
    ticks = _ticks(min(scores) * 100, max(scores) * 100)
    low, high = ticks[0], ticks[-1]

    def at(fraction: float) -> float:
        return round((fraction * 100 - low) / (high - low) * 100, 3)

    return {
        "ticks": [{"text": f"{tick:g}", "at": at(tick / 100)} for tick in ticks],
        "rows": [
            {
                "label": spread.label,
                "mean": spread.mean,
                "mean_at": at(spread.mean),
                "points": [
                    {"run": run, "seed": seed, "score": score, "at": at(score)}
                    for run, seed, score in zip(
                        spread.runs, spread.seeds, spread.scores, strict=True
                    )
                ],
            }
            for spread in found
        ],
    }


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers from below `low` to above `high`."""
    width = max(high - low, 0.1)
    power = 10.0 ** math.floor(math.log10(width / _TICKS))
    step = next(f * power for f in (1, 2, 2.5, 5, 10, 20) if f * power * _TICKS >= width)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 6) for k in range(first, max(last, first + 1) + 1)]

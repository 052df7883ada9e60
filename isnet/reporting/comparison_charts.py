"""Data of the charts that compare runs: accuracy against speed, and scores over seeds."""

import math
from collections.abc import Sequence
from typing import Any

from isnet.records.result_reader import RunResults
from isnet.reporting.seed_spread import MethodScores

_LOG_RATIO = 10
"""Max/min ratio of speeds above which their axis is logarithmic."""
_TICKS = 5


def speed_scatter(runs: Sequence[RunResults]) -> dict[str, object] | None:
    """Return one point per run, or None for fewer than two runs with a speed and a score.

    `x`: images per second at single scale; `y`: mIoU in 0..1; the order of the runs sets the style.
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


def seed_dots(found: Sequence[MethodScores]) -> dict[str, Any]:
    """Return one row of points per method; `at` is the position in percent of the axis."""
    scores = [score * 100 for spread in found for score in spread.scores]
    ticks = _ticks(min(scores), max(scores))

    def at(percent: float) -> float:
        return round((percent - ticks[0]) / (ticks[-1] - ticks[0]) * 100, 3)

    return {
        "ticks": [{"text": f"{tick:g}", "at": at(tick)} for tick in ticks],
        "rows": [
            {
                "label": spread.label,
                "mean": spread.mean,
                "mean_at": at(spread.mean * 100),
                "points": [
                    {"run": run, "seed": seed, "score": score, "at": at(score * 100)}
                    for run, seed, score in zip(
                        spread.runs, spread.seeds, spread.scores, strict=True
                    )
                ],
            }
            for spread in found
        ],
    }


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers that cover the range `low` to `high`."""
    width = max(high - low, 0.1)
    power = 10.0 ** math.floor(math.log10(width / _TICKS))
    step = next(f * power for f in (1, 2, 2.5, 5, 10, 20) if f * power * _TICKS >= width)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 6) for k in range(first, max(last, first + 1) + 1)]

"""Computes mean, spread and significance of scores over runs that differ only in their seed."""

import itertools
import json
import math
import os.path
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isnet.records.result_reader import RunResults
from isnet.reporting.markdown_latex_table import TextTable
from isnet.reporting.page_templates import percent

RULE = (
    "A difference is called larger than the spread if the 95 % interval of the difference of the "
    "means (Welch's t) excludes zero. Both methods need two seeds. Each pair is tested by itself: "
    "among twenty pairs without a difference, about one is expected to look different."
)
"""Explanation in the report of how `verdicts` compares methods."""

_TICKS = 5
_COLUMNS = ("Method", "Seeds", "Mean mIoU", "Std. deviation", "Lowest", "Highest")


@dataclass(frozen=True)
class MethodScores:
    """Single-scale mIoU (0..1) of one method: runs with the same settings, one per seed."""

    label: str
    runs: list[str]
    seeds: list[int | None]
    scores: list[float]  # scores of those runs that have one
    multi: float | None = None  # mean mIoU with multi-scale and flip

    @property
    def mean(self) -> float:
        """Return the mean mIoU over the seeds."""
        return statistics.fmean(self.scores)

    @property
    def deviation(self) -> float | None:
        """Return the standard deviation of mIoU over the seeds (n - 1); None for a single seed."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None

    @property
    def mIoU(self) -> float | None:
        """Return the mean mIoU over the seeds, or None if a run has no score."""
        return self.mean if len(self.scores) == len(self.runs) else None


def seed_groups(runs: Sequence[RunResults]) -> list[list[RunResults]]:
    """Group runs that differ only in their seed. Groups are in the order of first appearance."""
    groups: dict[str, list[RunResults]] = {}
    for run in runs:
        settings = {key: value for key, value in run.settings.items() if key != "seed"}
        evaluated, trained = run.evaluated, run.trained
        identity = [evaluated.method, evaluated.backbone, trained.config, trained.iterations]
        key = json.dumps([*identity, settings], sort_keys=True, default=str)
        groups.setdefault(key, []).append(run)
    return list(groups.values())


def method_scores(runs: Sequence[RunResults]) -> list[MethodScores]:
    """Return the scores of each method, which is a group of runs that differ only in their seed.

    Only the first run of each seed counts, because a repeated seed is no evidence about other
    seeds. The label is the name of the method. If several groups have the same method, the common
    start of the group's run names is added.
    """
    groups = seed_groups(runs)
    methods = [group[0].evaluated.method for group in groups]
    found = []
    for method, group in zip(methods, groups, strict=True):
        by_seed: dict[object, RunResults] = {}
        for run in group:
            by_seed.setdefault(run.name if run.trained.seed is None else run.trained.seed, run)
        names = [run.name for run in by_seed.values()]
        start = os.path.commonprefix(names)  # noqa: RUF071 - of characters
        name = names[0] if len(names) == 1 or not start else f"{start}*"
        label = f"{method} ({name})" if methods.count(method) > 1 else method
        seeds = [run.trained.seed for run in by_seed.values()]
        single = [run.evaluated.single_scale.mIoU for run in by_seed.values()]
        several = [run.evaluated.multi_scale_flip for run in by_seed.values()]
        multi = [means.mIoU for means in several if means and means.mIoU is not None]
        scores = [score for score in single if score is not None]
        mean = statistics.fmean(multi) if len(multi) == len(names) else None
        found.append(MethodScores(label, names, seeds, scores, mean))
    return found


def seed_spreads(runs: Sequence[RunResults]) -> list[MethodScores]:
    """Return the scores of each method, best first, or [] if no method has several seeds.

    Runs without a score are left out.
    """
    scored = [run for run in runs if run.evaluated.single_scale.mIoU is not None]
    found = sorted(method_scores(scored), key=lambda method: -method.mean)
    return found if any(len(spread.scores) > 1 for spread in found) else []


def spread_table(found: Sequence[MethodScores]) -> TextTable:
    """Return a table of mIoU over seeds in percent, with one row per method."""
    rows = []
    for spread in found:
        numbers = (spread.mean, spread.deviation, min(spread.scores), max(spread.scores))
        row = (spread.label, str(len(spread.scores)), *(percent(number, 2) for number in numbers))
        rows.append(dict(zip(_COLUMNS, row, strict=True)))
    return TextTable(_COLUMNS, rows, _COLUMNS[1:])


def seed_dots(found: Sequence[MethodScores]) -> dict[str, Any]:
    """Return the data of a dot plot of mIoU over seeds, with one row per method.

    `at` is a position in percent of the axis.
    """
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
    """Return round tick values that cover the range from `low` to `high`."""
    width = max(high - low, 0.1)
    power = 10.0 ** math.floor(math.log10(width / _TICKS))
    step = next(f * power for f in (1, 2, 2.5, 5, 10, 20) if f * power * _TICKS >= width)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(k * step, 6) for k in range(first, max(last, first + 1) + 1)]


def difference_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Welch's t interval: return the 95 % confidence interval of mean(first) - mean(second).

    The variances may be unequal. Both samples need two values. If neither varies, the interval is
    the difference itself.
    """
    from scipy.stats import ttest_ind

    difference = statistics.fmean(first) - statistics.fmean(second)
    if statistics.variance(first) == statistics.variance(second) == 0:
        return difference, difference
    interval = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return float(interval.low), float(interval.high)


def verdicts(found: Sequence[MethodScores]) -> list[str]:
    """Return a sentence about the difference between each pair of methods.

    A pair is left out if both methods have a single seed.
    """
    pairs = itertools.combinations(found, 2)
    return [_verdict(a, b) for a, b in pairs if max(len(a.scores), len(b.scores)) > 1]


def _verdict(better: MethodScores, worse: MethodScores) -> str:
    points = (better.mean - worse.mean) * 100
    claim = f"{better.label} is {points:.2f} points above {worse.label}"
    single = next((entry for entry in (better, worse) if len(entry.scores) < 2), None)
    if single is not None:
        return f"{claim}. {single.label} has one seed: the difference may be chance."
    low, high = (100 * end for end in difference_interval(better.scores, worse.scores))
    interval = f"{low:+.2f} to {high:+.2f}".replace("-", "\u2212")
    verb = "larger" if low > 0 else "not larger"
    return f"{claim} (95 % interval {interval}): {verb} than the spread over seeds."

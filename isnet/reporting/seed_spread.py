"""Runs that differ in nothing but their seed: mean, spread, and what that says of differences."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from isnet.records.result_reader import RunResults
from isnet.reporting.text_table import TextTable

__all__ = [
    "RULE",
    "Spread",
    "difference_interval",
    "group_label",
    "one_of_each_seed",
    "over_seeds",
    "seed_groups",
    "spread_table",
    "spreads",
    "verdicts",
]

RULE = (
    "A difference is called larger than the spread where the 95 % interval of the difference of "
    "the means (Welch's t) does not include zero. That takes two seeds on both sides. Each pair is "
    "judged by itself: among twenty pairs that do not differ, one is expected to look as if it did."
)
"""How `verdicts` decides."""

_COLUMNS = ("Method", "Seeds", "Mean mIoU", "Std. deviation", "Lowest", "Highest")
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """The single-scale mIoU of runs of the same settings, as fractions, one per seed."""

    label: str
    runs: list[str]
    seeds: list[int | None]
    scores: list[float]

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.scores)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of one run (n - 1); None of a single seed."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else None


def seed_groups(runs: Sequence[RunResults]) -> list[list[RunResults]]:
    """Return runs grouped by their settings without the seed, in the order of first appearance."""
    groups: dict[str, list[RunResults]] = {}
    for run in runs:
        kept = {key: value for key, value in run.settings.items() if key != "seed"}
        evaluated, trained = run.evaluated, run.trained
        identity = [evaluated.method, evaluated.backbone, trained.config, trained.iterations, kept]
        groups.setdefault(json.dumps(identity, sort_keys=True, default=str), []).append(run)
    return list(groups.values())


def group_label(group: Sequence[RunResults], shared_name: bool) -> str:
    """Return the method of a group, with the common start of its runs' names where another group
    has the same method.
    """
    method, names = group[0].evaluated.method, sorted(run.name for run in group)
    if not shared_name:
        return method
    # What the first and the last in the alphabet share, all do.
    pairs = zip(names[0], names[-1], strict=False)
    start = "".join(one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return f"{method} ({names[0] if len(names) == 1 or not start else f'{start}*'})"


def spreads(runs: Sequence[RunResults]) -> list[Spread]:
    """Return the scores of each group of `seed_groups`, best mean first.

    A seed counts once. Runs without a score are left out.
    """
    scored = [run for run in runs if run.evaluated.single_scale.mIoU is not None]
    groups = [one_of_each_seed(group) for group in seed_groups(scored)]
    methods = [group[0].evaluated.method for group in groups]
    found = [_spread(group, methods.count(group[0].evaluated.method) > 1) for group in groups]
    return sorted(found, key=lambda spread: -spread.mean)


def over_seeds(runs: Sequence[RunResults]) -> list[Spread]:
    """Return `spreads`, or nothing where each method has one seed."""
    found = spreads(runs)
    return found if any(len(spread.scores) > 1 for spread in found) else []


def one_of_each_seed(group: Sequence[RunResults]) -> list[RunResults]:
    """Return the first run of each seed: the same run again says nothing about other seeds."""
    by_seed: dict[object, RunResults] = {}
    for run in group:
        seed = run.trained.seed
        by_seed.setdefault(run.name if seed is None else seed, run)
    return list(by_seed.values())


def _spread(group: Sequence[RunResults], shared_name: bool) -> Spread:
    scores = [run.evaluated.single_scale.mIoU for run in group]
    return Spread(
        label=group_label(group, shared_name),
        runs=[run.name for run in group],
        seeds=[run.trained.seed for run in group],
        scores=[score for score in scores if score is not None],
    )


def spread_table(found: Sequence[Spread]) -> TextTable:
    """Return one row per method, in percent: mean, standard deviation, lowest and highest."""
    rows = [
        (
            entry.label,
            str(len(entry.scores)),
            f"{entry.mean * 100:.2f}",
            "-" if entry.deviation is None else f"{entry.deviation * 100:.2f}",
            f"{min(entry.scores) * 100:.2f}",
            f"{max(entry.scores) * 100:.2f}",
        )
        for entry in found
    ]
    table = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    return TextTable(_COLUMNS, table, _COLUMNS[1:])


def difference_interval(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of mean(first) - mean(second) for unequal variances (Welch 1947).

    Both need two values. Where neither varies, the interval is the difference itself.
    """
    difference = statistics.fmean(first) - statistics.fmean(second)
    parts = [(statistics.variance(values) / len(values), len(values)) for values in (first, second)]
    error = sum(part for part, _ in parts)
    if error == 0:
        return difference, difference
    freedom = error**2 / sum(part**2 / (count - 1) for part, count in parts)
    half = float(stdtrit(freedom, (1 + _CONFIDENCE) / 2)) * math.sqrt(error)
    return difference - half, difference + half


def verdicts(found: Sequence[Spread]) -> list[str]:
    """Return a sentence for each two methods of which at least one has two seeds."""
    pairs = itertools.combinations(found, 2)
    return [_verdict(a, b) for a, b in pairs if max(len(a.scores), len(b.scores)) > 1]


def _verdict(better: Spread, worse: Spread) -> str:
    points = (better.mean - worse.mean) * 100
    said = f"{better.label} is {points:.2f} points above {worse.label}"
    single = next((entry for entry in (better, worse) if len(entry.scores) < 2), None)
    if single is not None:
        return f"{said}. {single.label} has one seed: whether that is chance cannot be told."
    low, high = (100 * end for end in difference_interval(better.scores, worse.scores))
    between = f"{low:+.2f} to {high:+.2f}".replace("-", "\u2212")
    verb = "larger" if low > 0 else "not larger"
    return f"{said} (95 % interval {between}): {verb} than the spread over seeds."

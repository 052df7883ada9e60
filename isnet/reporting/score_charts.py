"""One run's scores: the table of all, how reliable confidence is, how images differ."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from isnet.records.base_record import Interval
from isnet.records.evaluate_record import (
    ClassScore,
    ImageScore,
    MultiScaleScores,
    SingleScaleScores,
)
from isnet.records.result_reader import RunResults

__all__ = [
    "Distribution",
    "Reliability",
    "ScoreRow",
    "absent_classes",
    "image_distribution",
    "reliability",
    "score_table",
    "worst_classes",
]

BINS = 20
"""Bars of the histogram of image scores."""

NAMED = 8
"""Worst images that are named beside it."""

FURTHEST = 4
"""Bins of confidence that are named."""

_SCORES = {
    "mIoU": "Mean IoU",
    "boundary_mIoU": "Boundary mIoU",
    "mAcc": "Mean accuracy",
    "aAcc": "Pixel accuracy",
    "fwIoU": "Frequency-weighted IoU",
    "category_mIoU": "Category mIoU",
    "ece": "Calibration error (ECE)",
}


@dataclass(frozen=True)
class ScoreRow:
    """One score of both protocols, as fractions, each with its interval where there is one."""

    key: str
    label: str
    single: float | None
    single_bounds: Interval | None
    multi: float | None
    multi_bounds: Interval | None


def score_table(run: RunResults) -> list[ScoreRow]:
    """Return the scores that the evaluation has, in a fixed order; mIoU, mAcc and aAcc always."""
    one, several = run.evaluated.single_scale, run.evaluated.multi_scale_flip
    rows = [
        ScoreRow(
            key=key,
            label=label,
            single=getattr(one, key),
            single_bounds=_bounds(one, key),
            multi=getattr(several, key, None),
            multi_bounds=_bounds(several, key),
        )
        for key, label in _SCORES.items()
    ]
    always = ("mIoU", "mAcc", "aAcc")
    return [row for row in rows if row.key in always or row.single is not None]


def _bounds(scores: SingleScaleScores | MultiScaleScores | None, key: str) -> Interval | None:
    return (scores.intervals or {}).get(key) if scores else None


def absent_classes(run: RunResults) -> list[str]:
    """Return the classes that are in neither truth nor prediction, and so in no mean."""
    return [score.name for score in run.per_class if score.iou is None]


def worst_classes(run: RunResults, count: int = 3) -> list[ClassScore]:
    """Return the classes of lowest IoU, lowest first."""
    known = [score for score in run.per_class if score.iou is not None]
    return sorted(known, key=lambda score: score.iou or 0.0)[:count]


@dataclass(frozen=True)
class Bar:
    """A bin of confidences; `share` is of all pixels, `height` of those of the fullest bin."""

    low: float
    high: float
    pixels: int
    accuracy: float | None
    confidence: float | None
    share: float
    height: float

    @property
    def error(self) -> float:
        """What the bin adds to the calibration error."""
        return abs((self.accuracy or 0.0) - (self.confidence or 0.0)) * self.share


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram, and in a number how far a confidence is to be trusted."""

    bars: list[Bar]
    ece: float | None
    accuracy: float
    confidence: float

    @property
    def total(self) -> float:
        """The calibration error that the bars add up to."""
        return sum(bar.error for bar in self.bars)

    @property
    def furthest(self) -> list[Bar]:
        """Return the bars that add most to the calibration error, largest part first."""
        wrong = [bar for bar in self.bars if bar.error]
        return sorted(wrong, key=lambda bar: -bar.error)[:FURTHEST]


def reliability(run: RunResults) -> Reliability | None:
    """Return the reliability diagram (single scale), or None where no pixel was scored."""
    rows = run.evaluated.calibration
    total = sum(row.pixels for row in rows)
    if not total:
        return None
    most = max(row.pixels for row in rows)
    return Reliability(
        bars=[
            Bar(
                *(row.low, row.high, row.pixels, row.accuracy, row.confidence),
                *(row.pixels / total, row.pixels / most),
            )
            for row in rows
        ],
        ece=run.evaluated.single_scale.ece,
        accuracy=sum(row.pixels * (row.accuracy or 0.0) for row in rows) / total,
        confidence=sum(row.pixels * (row.confidence or 0.0) for row in rows) / total,
    )


@dataclass(frozen=True)
class Step:
    """A bar of the histogram: images from `low` to `high`, and their part of the highest bar."""

    low: float
    high: float
    images: int
    height: float


@dataclass(frozen=True)
class Distribution:
    """Single-scale mIoU of the images one by one: histogram, quartiles, the worst by name."""

    steps: list[Step]
    images: int
    unscored: int
    quartiles: tuple[float, float, float]
    worst: list[ImageScore]


def image_distribution(images: Sequence[ImageScore]) -> Distribution | None:
    """Return the distribution of the images' scores, or None for fewer than two that are scored."""
    scored = [(image.mIoU, image) for image in images if image.mIoU is not None]
    if len(scored) < 2:
        return None
    counts = [0] * BINS
    for score, _ in scored:
        counts[min(int(score * BINS), BINS - 1)] += 1
    steps = [
        Step(place / BINS, (place + 1) / BINS, count, count / max(counts))
        for place, count in enumerate(counts)
    ]
    first, median, third = statistics.quantiles([score for score, _ in scored], method="inclusive")
    worst = sorted(scored, key=lambda pair: (pair[0], pair[1].name))[:NAMED]
    unscored = len(images) - len(scored)
    named = [image for _, image in worst]
    return Distribution(steps, len(scored), unscored, (first, median, third), named)

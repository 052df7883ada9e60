"""Tables and charts of one run's scores: all scores, reliability diagram, histogram of images."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from isnet.records.result_reader import RunResults
from isnet.records.run_records import ClassScore, ConfidenceBin, ImageScore, ViewMeans

BINS = 20
"""Bins of the histogram of image scores."""
NAMED = 8
"""Worst images listed beside it."""
FURTHEST = 4
"""Confidence bins listed beside the reliability diagram."""

_SCORES = {
    "mIoU": "Mean IoU",
    "boundary_mIoU": "Boundary mIoU",
    "mAcc": "Mean accuracy",
    "aAcc": "Pixel accuracy",
    "fwIoU": "Frequency-weighted IoU",
    "category_mIoU": "Category mIoU",
    "ece": "Calibration error (ECE)",
}
_ALWAYS = ("mIoU", "mAcc", "aAcc")


@dataclass(frozen=True)
class ScoreRow:
    """One score of both protocols, as fractions, with its intervals."""

    key: str
    label: str
    single: float | None
    single_bounds: tuple[float, float] | None
    multi: float | None
    multi_bounds: tuple[float, float] | None


def score_table(run: RunResults) -> list[ScoreRow]:
    """Return the scores of an evaluation; mIoU, mAcc and aAcc always."""
    single, multi = run.evaluated.single_scale, run.evaluated.multi_scale_flip

    def pair(scores: ViewMeans | None, key: str) -> tuple[float | None, tuple[float, float] | None]:
        return getattr(scores, key, None), scores.bounds(key) if scores else None

    rows = [
        ScoreRow(key, label, *pair(single, key), *pair(multi, key))
        for key, label in _SCORES.items()
    ]
    return [row for row in rows if row.key in _ALWAYS or row.single is not None]


def absent_classes(run: RunResults) -> list[str]:
    """Return the classes that are in neither label nor prediction, and so in no mean."""
    return [score.name for score in run.per_class if score.iou is None]


def worst_classes(run: RunResults, count: int = 3) -> list[ClassScore]:
    """Return the classes of lowest IoU, lowest first."""
    known = [score for score in run.per_class if score.iou is not None]
    return sorted(known, key=lambda score: score.iou or 0.0)[:count]


class ReliabilityBar(ConfidenceBin):
    """A confidence bin; `share` of all pixels, `height` relative to the fullest bin."""

    share: float
    height: float

    @property
    def error(self) -> float:
        """Contribution to the calibration error."""
        return abs((self.accuracy or 0.0) - (self.confidence or 0.0)) * self.share


@dataclass(frozen=True)
class Reliability:
    """Reliability diagram with its calibration error."""

    bars: list[ReliabilityBar]
    ece: float | None

    @property
    def accuracy(self) -> float:
        """Mean over all pixels."""
        return sum(bar.share * (bar.accuracy or 0.0) for bar in self.bars)

    @property
    def confidence(self) -> float:
        """Mean over all pixels."""
        return sum(bar.share * (bar.confidence or 0.0) for bar in self.bars)

    @property
    def total(self) -> float:
        """Sum of the bars' contributions: the calibration error."""
        return sum(bar.error for bar in self.bars)

    @property
    def furthest(self) -> list[ReliabilityBar]:
        """The bars that contribute most to the calibration error, largest first."""
        wrong = [bar for bar in self.bars if bar.error]
        return sorted(wrong, key=lambda bar: -bar.error)[:FURTHEST]


def reliability(run: RunResults) -> Reliability | None:
    """Return the single-scale reliability diagram; None without scored pixels."""
    bins = run.evaluated.calibration
    total = sum(entry.pixels for entry in bins)
    if not total:
        return None
    fullest = max(entry.pixels for entry in bins)
    bars = [
        ReliabilityBar(**dict(entry), share=entry.pixels / total, height=entry.pixels / fullest)
        for entry in bins
    ]
    return Reliability(bars, run.evaluated.single_scale.ece)


@dataclass(frozen=True)
class HistogramBin:
    """Images with a score from `low` to `high`; `height` relative to the fullest bin."""

    low: float
    high: float
    images: int
    height: float


@dataclass(frozen=True)
class ImageDistribution:
    """Single-scale mIoU per image: histogram, quartiles and worst images."""

    bins: list[HistogramBin]
    images: int
    unscored: int
    quartiles: list[float]
    worst: list[ImageScore]


def image_distribution(images: Sequence[ImageScore]) -> ImageDistribution | None:
    """Return the distribution of the images' scores; None for fewer than two scored images."""
    scored = [(image.mIoU, image) for image in images if image.mIoU is not None]
    if len(scored) < 2:
        return None
    counts = Counter(min(int(score * BINS), BINS - 1) for score, _ in scored)
    fullest = max(counts.values())
    bins = [
        HistogramBin(i / BINS, (i + 1) / BINS, counts[i], counts[i] / fullest) for i in range(BINS)
    ]
    scored.sort(key=lambda entry: (entry[0], entry[1].name))
    quartiles = statistics.quantiles([score for score, _ in scored], method="inclusive")
    worst = [image for _, image in scored[:NAMED]]
    return ImageDistribution(bins, len(scored), len(images) - len(scored), quartiles, worst)

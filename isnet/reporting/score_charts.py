"""Prepares tables and charts of one run's scores, such as its reliability diagram."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from isnet.records.result_reader import RunResults
from isnet.records.run_records import ClassScore, ConfidenceBin, ImageScore, MetricsRecord

BINS = 20  # bins of the histogram of image scores
NAMED = 8  # worst images listed beside it
FURTHEST = 4  # confidence bins listed beside the reliability diagram

_SCORES = {
    "mIoU": "Mean IoU",
    "boundary_mIoU": "Boundary mIoU",
    "mDice": "Mean Dice",
    "mFscore": "Mean F-score",
    "mPrecision": "Mean precision",
    "mAcc": "Mean accuracy (recall)",
    "aAcc": "Pixel accuracy",
    "fwIoU": "Frequency-weighted IoU",
    "category_mIoU": "Category mIoU",
    "ece": "Calibration error (ECE)",
}
_ALWAYS = ("mIoU", "mAcc", "aAcc")


def score_labels(evaluated: MetricsRecord) -> dict[str, str]:
    """Return the display label of each score that an evaluation has, and of mIoU, mAcc and aAcc."""
    single = evaluated.single_scale
    is_listed = {key: key in _ALWAYS or getattr(single, key) is not None for key in _SCORES}
    return {key: label for key, label in _SCORES.items() if is_listed[key]}


def absent_classes(run: RunResults) -> list[str]:
    """Return the classes that occur in no label and no prediction, and so have no IoU."""
    return [score.name for score in run.per_class if score.iou is None]


def worst_classes(run: RunResults, count: int = 3) -> list[ClassScore]:
    """Return the `count` classes with the lowest IoU, lowest first."""
    known = [score for score in run.per_class if score.iou is not None]
    return sorted(known, key=lambda score: score.iou or 0.0)[:count]


class ReliabilityBar(ConfidenceBin):
    """A bar of the reliability diagram: a confidence bin and its share of all pixels."""

    share: float

    @property
    def error(self) -> float:
        """Return the contribution of this bin to the expected calibration error."""
        return abs((self.accuracy or 0.0) - (self.confidence or 0.0)) * self.share


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram with its expected calibration error (ECE)."""

    bars: list[ReliabilityBar]
    ece: float | None

    def mean(self, value: str) -> float:
        """Return the mean over all pixels of `value`, which is `accuracy` or `confidence`."""
        return sum(bar.share * (getattr(bar, value) or 0.0) for bar in self.bars)

    @property
    def total(self) -> float:
        """Return the expected calibration error as the sum of the bars' contributions."""
        return sum(bar.error for bar in self.bars)

    @property
    def furthest(self) -> list[ReliabilityBar]:
        """Return the bars that contribute most to the calibration error, the largest first."""
        wrong = [bar for bar in self.bars if bar.error]
        return sorted(wrong, key=lambda bar: -bar.error)[:FURTHEST]


def reliability(run: RunResults) -> Reliability | None:
    """Return the single-scale reliability diagram of a run, or None without scored pixels."""
    bins = run.evaluated.calibration
    total = sum(entry.pixels for entry in bins)
    if not total:
        return None
    bars = [ReliabilityBar(**dict(entry), share=entry.pixels / total) for entry in bins]
    return Reliability(bars, run.evaluated.single_scale.ece)


@dataclass(frozen=True)
class ImageDistribution:
    """Distribution of single-scale mIoU over images: histogram, quartiles and worst images.

    `counts` are the numbers of images in `BINS` bins of equal width.
    """

    counts: list[int]
    images: int
    unscored: int
    quartiles: list[float]
    worst: list[ImageScore]


def image_distribution(images: Sequence[ImageScore]) -> ImageDistribution | None:
    """Return the distribution of mIoU over images, or None for fewer than two scored images."""
    scored = [(image.mIoU, image) for image in images if image.mIoU is not None]
    if len(scored) < 2:
        return None
    counts = Counter(min(int(score * BINS), BINS - 1) for score, _ in scored)
    bins = [counts[i] for i in range(BINS)]
    scored.sort(key=lambda entry: (entry[0], entry[1].name))
    quartiles = statistics.quantiles([score for score, _ in scored], method="inclusive")
    worst = [image for _, image in scored[:NAMED]]
    return ImageDistribution(bins, len(scored), len(images) - len(scored), quartiles, worst)

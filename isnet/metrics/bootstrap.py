"""Confidence intervals of scores: percentile bootstrap over images."""

from dataclasses import dataclass

import numpy as np

from isnet.metrics.confusion_matrix import ClassCounts, Matrix, Values

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
_CHUNK = 100
"""Resamples computed together (a divisor of all); their weights take 4 MB for 5,000 images."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """Lower and upper bounds of scores; NaN where there is no score.

    `means`: of mIoU, mAcc, aAcc and fwIoU; `iou`: `(K, 2)`, of the IoU of each class.
    """

    means: dict[str, tuple[float, float]]
    iou: Values


def bootstrap(counts: Matrix) -> Intervals | None:
    """Return the 2.5th and 97.5th percentiles of the scores over 1000 resamples of the images with
    replacement (seed 0); None for fewer than two images.

    `counts`: `(N, K, 3)` of the images (see `ClassCounts`). A class that a resample lacks is left
    out of that resample's mean. Sums are exact integers, so that their order has no effect.
    """
    if len(counts) < 2:
        return None
    resampled = ClassCounts(_resample(counts))
    means = {
        name: tuple(_percentiles(values[:, None])[0].tolist())
        for name, values in resampled.summary().items()
    }
    return Intervals(means, _percentiles(resampled.iou))


def _resample(counts: Matrix) -> Values:
    """Return sums over resampled images, `(R, K, 3)`."""
    random = np.random.default_rng(SEED)
    images, chunks = len(counts), []
    # Integers below 2^53 are exact in float64, and BLAS multiplies them.
    flat = counts.reshape(images, -1).astype(np.float64)
    for _ in range(0, RESAMPLES, _CHUNK):
        drawn = random.integers(0, images, (_CHUNK, images)) + images * np.arange(_CHUNK)[:, None]
        weights = np.bincount(drawn.reshape(-1), minlength=_CHUNK * images)
        chunks.append(weights.reshape(_CHUNK, images).astype(np.float64) @ flat)
    return np.concatenate(chunks).reshape(RESAMPLES, *counts.shape[1:])


def _percentiles(values: Values) -> Values:
    """Return the percentiles of each column without its NaN, `(columns, 2)`."""
    bounds = np.full((values.shape[1], 2), np.nan)
    for column, row in zip(values.T, bounds, strict=True):
        present = column[~np.isnan(column)]
        if present.size:
            row[:] = np.quantile(present, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return bounds

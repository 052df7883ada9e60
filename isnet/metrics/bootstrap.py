"""Bootstrap confidence intervals of scores: percentiles over resampled images."""

import warnings
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
    """Confidence intervals of scores, as lower and upper bounds. A bound is NaN without a score."""

    means: dict[str, tuple[float, float]]
    """Bounds of the scores of `ClassCounts.summary`, by name."""
    iou: Values
    """Bounds of the IoU of each class, `(K, 2)`."""


def bootstrap(counts: Matrix) -> Intervals | None:
    """Compute bootstrap confidence intervals (95 %) of the scores of a data set.

    The N images are resampled 1000 times with replacement (seed 0). The bounds are the 2.5th and
    97.5th percentiles of the scores. A class that a resample lacks is left out of that resample's
    mean. `counts` is `(N, K, 3)`, of each image and class (see `ClassCounts`). Returns None for
    fewer than two images.
    """
    if len(counts) < 2:
        return None
    resampled = ClassCounts(_resample(counts))
    summary = resampled.summary()
    means = {name: tuple(_percentiles(values).tolist()) for name, values in summary.items()}
    return Intervals(means, _percentiles(resampled.iou))


def _resample(counts: Matrix) -> Values:
    """Sum the counts `(N, K, 3)` of randomly resampled images to `(RESAMPLES, K, 3)`."""
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
    """Return the lower and upper percentile of each column, ignoring NaN: `(columns, 2)`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN alone
        return np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).T

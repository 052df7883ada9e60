"""Confidence intervals of scores: percentile bootstrap over images."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isnet.metrics.confusion_matrix import ClassCounts, Matrix

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
_CHUNK = 100
"""Resamples computed together; their weights take 4 MB for 5,000 images."""

Bounds = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Intervals:
    """Lower and upper bounds of scores; NaN where there is no score.

    `means`: of mIoU, mAcc, aAcc and fwIoU; `iou`: `(K, 2)`, of the IoU of each class.
    """

    means: dict[str, tuple[float, float]]
    iou: Bounds


def bootstrap(counts: Matrix) -> Intervals | None:
    """Return the 2.5th and 97.5th percentiles of the scores over 1000 resamples of the images with
    replacement (seed 0); None for fewer than two images.

    `counts`: `(N, K, 3)` of the images (see `ClassCounts`). A class that a resample lacks is left
    out of that resample's mean. Sums are exact integers, so that their order has no effect.
    """
    if len(counts) < 2:
        return None
    chunks = [ClassCounts(sums) for sums in _resample(counts)]
    summaries = [chunk.summary() for chunk in chunks]
    means = {
        name: _percentiles(np.concatenate([summary[name] for summary in summaries])[:, None])[0]
        for name in summaries[0]
    }
    return Intervals(
        {name: (float(low), float(high)) for name, (low, high) in means.items()},
        _percentiles(np.concatenate([chunk.iou for chunk in chunks])),
    )


def _resample(counts: Matrix) -> Iterator[npt.NDArray[np.float64]]:
    """Yield sums over resampled images in chunks `(R, K, 3)`."""
    random = np.random.default_rng(SEED)
    images = len(counts)
    # Integers below 2^53 are exact in float64, and BLAS multiplies them.
    flat = counts.reshape(images, -1).astype(np.float64)
    for start in range(0, RESAMPLES, _CHUNK):
        rows = min(_CHUNK, RESAMPLES - start)
        drawn = random.integers(0, images, (rows, images)) + images * np.arange(rows)[:, None]
        weights = np.bincount(drawn.reshape(-1), minlength=rows * images).reshape(rows, images)
        yield (weights.astype(np.float64) @ flat).reshape(rows, *counts.shape[1:])


def _percentiles(values: npt.NDArray[np.float64]) -> Bounds:
    """Return the percentiles of each column without its NaN, `(columns, 2)`."""
    bounds = np.full((values.shape[1], 2), np.nan)
    for column, row in zip(values.T, bounds, strict=True):
        present = column[~np.isnan(column)]
        if present.size:
            row[:] = np.quantile(present, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return bounds

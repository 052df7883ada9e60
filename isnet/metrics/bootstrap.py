"""How far scores would move with other images: percentile bootstrap over images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isnet.metrics.confusion_matrix import ClassCounts, Matrix

__all__ = ["LEVEL", "RESAMPLES", "SEED", "Intervals", "bootstrap"]

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
_AT_ONCE = 100
"""Resamples of which the weights are in memory at a time: 4 MB for 5,000 images."""

Bounds = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Intervals:
    """Lower and upper bounds of scores; NaN where there is no score."""

    means: dict[str, tuple[float, float]]
    """Of mIoU, mAcc, aAcc and fwIoU."""
    iou: Bounds
    """Of the IoU of each class, `(K, 2)`."""


def bootstrap(counts: Matrix) -> Intervals | None:
    """Draw as many images as there are, with replacement, 1000 times (seed 0), and return the 2.5th
    and 97.5th percentiles of the scores; None for fewer than two images.

    `counts`: `(N, K, 3)` of the images (see `ClassCounts`). A class that a resample lacks is left
    out of that resample's mean. Sums are exact integers, so the order of additions changes nothing.
    """
    if len(counts) < 2:
        return None
    parts = [ClassCounts(sums) for sums in _resampled(counts)]
    summaries = [part.summary() for part in parts]
    means = {
        name: _bounds(np.concatenate([summary[name] for summary in summaries])[:, None])[0]
        for name in summaries[0]
    }
    return Intervals(
        {name: (float(low), float(high)) for name, (low, high) in means.items()},
        _bounds(np.concatenate([part.iou for part in parts])),
    )


def _resampled(counts: Matrix) -> Iterator[npt.NDArray[np.float64]]:
    """Yield sums over resampled images, `(R, K, 3)` at a time, R as many as fit."""
    random = np.random.default_rng(SEED)
    images = len(counts)
    # Integers below 2^53 in float64: exact, and BLAS multiplies them.
    flat = counts.reshape(images, -1).astype(np.float64)
    for start in range(0, RESAMPLES, _AT_ONCE):
        rows = min(_AT_ONCE, RESAMPLES - start)
        drawn = random.integers(0, images, (rows, images)) + images * np.arange(rows)[:, None]
        weights = np.bincount(drawn.reshape(-1), minlength=rows * images).reshape(rows, images)
        yield (weights.astype(np.float64) @ flat).reshape(rows, *counts.shape[1:])


def _bounds(values: npt.NDArray[np.float64]) -> Bounds:
    """Return the percentiles of each column without its NaN, `(columns, 2)`."""
    found = np.full((values.shape[1], 2), np.nan)
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    for column, row in zip(values.T, found, strict=True):
        present = column[~np.isnan(column)]
        if present.size:
            row[:] = np.quantile(present, tails)
    return found

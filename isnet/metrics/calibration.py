"""How far a model's confidence can be trusted: expected calibration error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from isnet.metrics.confusion_matrix import Labels, Matrix

__all__ = ["BINS", "Calibration", "calibration_counts"]

BINS = 15
"""Bins of equal width, as in Guo et al., ICML 2017."""
_LEVELS = 1 << 15
"""Steps to which a confidence is rounded down; in a 16-bit code there is room for right and wrong.
"""
_UNIT = 2 * _LEVELS
"""Confidences are summed up in integers of 1 / _UNIT: a level counts with its middle."""
_EXACT = 1 << 24


def calibration_counts(
    truth: Labels,
    prediction: Labels,
    confidence: npt.NDArray[np.float32],
    ignore_index: int = 255,
) -> Matrix:
    """Sort the pixels of an image by confidence: `(15, 3)` int64 with pixels, those that are right,
    and the sum of their confidences in units of 2^-16.

    All are `(H, W)`; `confidence` is the probability of the predicted class, in 0..1. It is
    rounded to the middle of one of 32768 levels, which moves no sum by more than 2^-16 a pixel and
    makes every sum an integer: no order of images or processes changes a bit.
    """
    code = np.multiply(confidence, np.float32(_LEVELS)).astype(np.uint16)
    np.minimum(code, np.uint16(_LEVELS - 1), out=code)
    code <<= 1
    code |= truth == prediction
    counts = _histogram(code, np.asarray(truth != ignore_index, np.uint8)).reshape(_LEVELS, 2)
    level = np.arange(_LEVELS, dtype=np.int64)
    pixels = counts.sum(axis=1)
    columns = np.stack([pixels, counts[:, 1], pixels * (2 * level + 1)], axis=1)
    starts = -(-np.arange(BINS) * _LEVELS // BINS)
    return np.asarray(np.add.reduceat(columns, starts, axis=0), np.int64)


def _histogram(code: npt.NDArray[np.uint16], counted: Labels) -> Matrix:
    flat, mask = code.reshape(1, -1), counted.reshape(1, -1)
    total = np.zeros(_UNIT, np.int64)
    for start in range(0, flat.size, _EXACT):  # OpenCV counts in float32
        part = slice(start, start + _EXACT)
        counts = cv2.calcHist([flat[:, part]], [0], mask[:, part], [_UNIT], [0, _UNIT])
        total += counts.reshape(-1).astype(np.int64)
    return total


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the counts of `calibration_counts`, added up over images, say."""

    counts: Matrix

    @property
    def error(self) -> float:
        """Expected calibration error in 0..1: the mean over all pixels of how far the accuracy of
        a pixel's bin is from its mean confidence; NaN without pixels.
        """
        pixels, right, confidence = self.counts.T
        total = int(pixels.sum())
        gaps = np.abs(right - confidence / _UNIT)
        return float(gaps.sum()) / total if total else math.nan

    def rows(self) -> list[dict[str, float | int | None]]:
        """Return for each bin its bounds, pixels, and accuracy and mean confidence (None where it
        is empty): a reliability diagram.
        """
        return [
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "pixels": pixels,
                "accuracy": right / pixels if pixels else None,
                "confidence": confidence / _UNIT / pixels if pixels else None,
            }
            for index, (pixels, right, confidence) in enumerate(self.counts.tolist())
        ]

"""Expected calibration error (Guo et al., ICML 2017) and reliability diagram."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isnet.metrics.confusion_matrix import Labels, Matrix, joint_histogram

BINS = 15
"""Bins of equal width, as in the paper."""
_LEVELS = 1 << 15
"""Confidence is rounded down to one of these; the last bit of a uint16 says if it is right."""
_UNIT = 2 * _LEVELS
"""Confidences are summed as integers in units of 1 / _UNIT; a level counts as its middle."""


def calibration_counts(
    label: Labels, prediction: Labels, confidence: npt.NDArray[np.float32], ignore_index: int = 255
) -> Matrix:
    """Count the pixels of an image by confidence bin, for the expected calibration error.

    Returns `(15, 3)` int64: the pixels of each bin, its correct pixels, and the sum of its
    confidences in units of 2^-16. All inputs are `(H, W)`; `confidence` is the probability of the
    predicted class, in 0..1. It is rounded to one of 32768 levels: this changes a sum by at most
    2^-16 per pixel and makes it an integer, the same for any order of images and processes.
    """
    code = np.multiply(confidence, np.float32(_LEVELS)).astype(np.uint16)
    np.minimum(code, np.uint16(_LEVELS - 1), out=code)
    code <<= 1
    code |= label == prediction
    code = code[label != ignore_index]
    counts = joint_histogram((code >> 8).astype(np.uint8), code.astype(np.uint8))
    counts = counts.reshape(_LEVELS, 2)
    level = np.arange(_LEVELS, dtype=np.int64)
    pixels = counts.sum(axis=1)
    columns = np.stack([pixels, counts[:, 1], pixels * (2 * level + 1)], axis=1)
    starts = -(-np.arange(BINS) * _LEVELS // BINS)
    return np.asarray(np.add.reduceat(columns, starts, axis=0), np.int64)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibration of the predictions for a data set."""

    counts: Matrix
    """Sum of the `calibration_counts` of all images, `(15, 3)`."""

    @property
    def error(self) -> float:
        """Expected calibration error in 0..1, or NaN without pixels.

        This is the mean over all pixels of |accuracy - mean confidence| of the pixel's bin.
        """
        pixels, correct, confidence = self.counts.T
        total = int(pixels.sum())
        gaps = np.abs(correct - confidence / _UNIT)
        return float(gaps.sum()) / total if total else math.nan

    def rows(self) -> list[dict[str, float | int | None]]:
        """Return the reliability diagram: bounds, pixels, accuracy and mean confidence of each bin.

        Accuracy and confidence are None for an empty bin.
        """
        return [
            {
                "from": index / BINS,
                "to": (index + 1) / BINS,
                "pixels": pixels,
                "accuracy": correct / pixels if pixels else None,
                "confidence": confidence / _UNIT / pixels if pixels else None,
            }
            for index, (pixels, correct, confidence) in enumerate(self.counts.tolist())
        ]

"""Exact scores: an int64 confusion matrix and what is read off it.

The conventions are those of `cityscapesscripts` (evalPixelLevelSemanticLabeling) and of mmseg's
`IoUMetric`: pixels whose truth is ignored count nowhere; IoU = tp / (tp + fp + fn); a class with
neither truth nor prediction has no IoU and is left out of the mean. Both are met to the last bit of
a float64 (cityscapesscripts) or to the float32 and two decimals that they keep (mmseg);
`tests/evaluation/test_confusion.py` holds that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from isnet.errors import UserError

__all__ = ["LabelError", "Scores", "as_labels", "confusion_matrix"]

Labels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.int64]
_VALUES = 256


class LabelError(UserError, ValueError):
    """A label map holds a value that is neither a class nor the ignored value."""


def as_labels(labels: torch.Tensor | npt.NDArray[np.integer], name: str = "labels") -> Labels:
    """Return labels of any integer type and shape as uint8 on the CPU, refusing values outside
    0..255.

    A tensor is narrowed on its own device, so that one byte per pixel crosses the bus.
    """
    if labels.dtype in (torch.uint8, np.uint8):
        narrow = labels
    else:
        low, high = (int(labels.min()), int(labels.max())) if math.prod(labels.shape) else (0, 0)
        if low < 0 or high >= _VALUES:
            raise LabelError(f"label values {low}..{high} do not fit 0..255", where=name)
        narrow = (
            labels.to(torch.uint8) if isinstance(labels, torch.Tensor) else labels.astype(np.uint8)
        )
    return narrow.cpu().numpy() if isinstance(narrow, torch.Tensor) else np.asarray(narrow)


def confusion_matrix(
    truth: torch.Tensor | npt.NDArray[np.integer],
    prediction: torch.Tensor | npt.NDArray[np.integer],
    num_classes: int,
    ignore_index: int = 255,
    name: str = "labels",
) -> Matrix:
    """Count pixels by true class (rows) and predicted class (columns): `(K, K)` int64.

    `truth` and `prediction` have the same shape and hold integers; `name` says in errors whose they
    are. Raises `LabelError` on a true label that is neither a class nor `ignore_index`, or on a
    prediction that is not a class.
    """
    if tuple(truth.shape) != tuple(prediction.shape):
        raise LabelError(
            f"truth {tuple(truth.shape)} and prediction {tuple(prediction.shape)} differ in shape",
            where=name,
        )
    rows = as_labels(truth, name).reshape(-1)
    columns = as_labels(prediction, name).reshape(-1)
    if columns.size and int(columns.max()) >= num_classes:
        raise LabelError(
            f"predicted label {int(columns.max())} is not one of {num_classes} classes", where=name
        )
    # A 16-bit code per pixel, counted without masking: twice as fast as masking first, and
    # integers all the way (histc counts in float32).
    code = rows.astype(np.uint16) * np.uint16(num_classes)
    code += columns
    counts = np.bincount(code, minlength=_VALUES * num_classes).reshape(_VALUES, num_classes)
    unknown = [
        int(label)
        for label in np.flatnonzero(counts.sum(axis=1))
        if label >= num_classes and label != ignore_index
    ]
    if unknown:
        cure = f"Map such pixels to the ignored value ({ignore_index}) or to a class"
        raise LabelError(
            f"true label {unknown[0]} is not one of {num_classes} classes", where=name, cure=cure
        )
    matrix = counts[:num_classes].astype(np.int64)
    if 0 <= ignore_index < num_classes:
        matrix[ignore_index] = 0
    return matrix


def _ratio(part: Matrix, whole: Matrix) -> npt.NDArray[np.float64]:
    ratio = np.full(part.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _mean(values: npt.NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else math.nan


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says, as fractions in 0..1; NaN stands for a class (or a set) of
    which there is nothing to score.

    `matrix`: `(K, K)` int64, rows are truth.
    """

    matrix: Matrix

    @property
    def pixels(self) -> Matrix:
        """True pixels of each class, `(K,)`."""
        return np.asarray(self.matrix.sum(axis=1), np.int64)

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """IoU of each class, `(K,)`; NaN where the class is neither in the truth nor in the
        prediction.
        """
        hits = np.diagonal(self.matrix)
        return _ratio(hits, self.matrix.sum(axis=1) + self.matrix.sum(axis=0) - hits)

    @property
    def accuracy(self) -> npt.NDArray[np.float64]:
        """Recall of each class, `(K,)`; NaN where the class is not in the truth."""
        return _ratio(np.diagonal(self.matrix), self.pixels)

    def summary(self) -> dict[str, float]:
        """Return mIoU and mAcc (means over the classes present) and aAcc (share of pixels that
        are right).
        """
        total = int(self.matrix.sum())
        right = int(np.trace(self.matrix))
        return {
            "mIoU": _mean(self.iou),
            "mAcc": _mean(self.accuracy),
            "aAcc": right / total if total else math.nan,
        }

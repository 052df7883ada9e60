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
from isnet.metrics.joint_histogram import joint_histogram

__all__ = [
    "ClassCounts",
    "LabelError",
    "Scores",
    "as_labels",
    "confusion_matrix",
    "nanmean",
]

Labels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64] | npt.NDArray[np.float64]
_VALUES = 256


class LabelError(UserError, ValueError):
    """A label map holds a value that is neither a class nor the ignored value."""


def as_labels(labels: torch.Tensor | npt.NDArray[np.integer], name: str = "labels") -> Labels:
    """Return labels of any integer type and shape as uint8 on the CPU. Values outside 0..255
    raise `LabelError`.

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
    rows, columns = as_labels(truth, name), as_labels(prediction, name)
    counts = joint_histogram(rows, columns)
    beyond = [int(label) for label in np.flatnonzero(counts.any(axis=0)) if label >= num_classes]
    if beyond:
        raise LabelError(
            f"predicted label {beyond[-1]} is not one of {num_classes} classes", where=name
        )
    unknown = [
        int(label)
        for label in np.flatnonzero(counts.any(axis=1))
        if label >= num_classes and label != ignore_index
    ]
    if unknown:
        hint = f"Map such pixels to the ignored value ({ignore_index}) or to a class"
        raise LabelError(
            f"true label {unknown[0]} is not one of {num_classes} classes", where=name, hint=hint
        )
    matrix = counts[:num_classes, :num_classes].copy()
    if 0 <= ignore_index < num_classes:
        matrix[ignore_index] = 0
    return matrix


def _ratio(part: Counts, whole: Counts) -> npt.NDArray[np.float64]:
    ratio = np.full(part.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def nanmean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the mean over the last axis without NaN; NaN where there is nothing else."""
    present = ~np.isnan(values)
    count = present.sum(axis=-1)
    total = np.where(present, values, 0.0).sum(axis=-1)
    return _ratio(np.asarray(total), np.asarray(count))


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Pixels of each class, of which everything but the confusion itself is made; scores are
    fractions in 0..1, and NaN stands for what is absent.

    `counts`: `(..., K, 3)` int64 (or float64 that holds integers): hits (true positives), missed
    (false negatives), wrong (false positives). Leading axes are images or resamples.
    """

    counts: Counts

    @classmethod
    def of(cls, matrix: Matrix) -> ClassCounts:
        """Read them off a confusion matrix `(K, K)`, rows are truth."""
        hits = np.diagonal(matrix)
        return cls(np.stack([hits, matrix.sum(axis=1) - hits, matrix.sum(axis=0) - hits], axis=-1))

    @property
    def hits(self) -> Counts:
        """True positives, `(..., K)`."""
        return self.counts[..., 0]

    @property
    def pixels(self) -> Counts:
        """True pixels of each class, `(..., K)`."""
        return np.asarray(self.counts[..., 0] + self.counts[..., 1])

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """IoU of each class, `(..., K)`; NaN where the class is neither in the truth nor in the
        prediction.
        """
        return _ratio(self.hits, self.counts.sum(axis=-1))

    @property
    def accuracy(self) -> npt.NDArray[np.float64]:
        """Recall of each class, `(..., K)`; NaN where the class is not in the truth."""
        return _ratio(self.hits, self.pixels)

    def summary(self) -> dict[str, npt.NDArray[np.float64]]:
        """Return mIoU and mAcc (means over the classes present), aAcc (share of pixels that are
        right) and fwIoU (mean IoU weighted by true pixels; Long et al., CVPR 2015), each `(...)`.
        """
        total = self.pixels.sum(axis=-1)
        weighted = np.where(self.pixels > 0, self.iou, 0.0) * self.pixels
        return {
            "mIoU": nanmean(self.iou),
            "mAcc": nanmean(self.accuracy),
            "aAcc": _ratio(self.hits.sum(axis=-1), total),
            "fwIoU": _ratio(weighted.sum(axis=-1), total),
        }


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says, as fractions in 0..1; NaN stands for a class (or a set) of
    which there is nothing to score.

    `matrix`: `(K, K)` int64, rows are truth.
    """

    matrix: Matrix

    @property
    def areas(self) -> ClassCounts:
        """Hits, misses and wrong pixels of each class."""
        return ClassCounts.of(self.matrix)

    @property
    def pixels(self) -> Matrix:
        """True pixels of each class, `(K,)`."""
        return np.asarray(self.areas.pixels, np.int64)

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """IoU of each class, `(K,)`; NaN where the class is neither in the truth nor in the
        prediction.
        """
        return self.areas.iou

    @property
    def accuracy(self) -> npt.NDArray[np.float64]:
        """Recall of each class, `(K,)`; NaN where the class is not in the truth."""
        return self.areas.accuracy

    def summary(self) -> dict[str, float]:
        """Return mIoU and mAcc (means over the classes present) and aAcc (share of pixels that
        are right).
        """
        summary = self.areas.summary()
        return {name: float(summary[name]) for name in ("mIoU", "mAcc", "aAcc")}

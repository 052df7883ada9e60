"""Confusion matrix as int64 counts, and scores computed from the counts.

Conventions are those of `cityscapesscripts` (evalPixelLevelSemanticLabeling) and of mmseg's
`IoUMetric`. Ignored pixels are not counted. IoU = tp / (tp + fp + fn). A class in neither label nor
prediction has no IoU and is left out of the mean. Scores equal those of cityscapesscripts to the
last bit of a float64, and those of mmseg to its float32 and two decimals
(tests/metrics/test_confusion_matrix.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch

from isnet.errors import UserError

Labels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]

VALUES = 256
_LANES = 4
_CHUNK = 1 << 24
"""OpenCV counts in float32, which is exact up to this many pixels."""


class LabelError(UserError, ValueError):
    """A label map holds a value that is neither a class nor the ignored value."""


def as_labels(labels: torch.Tensor | npt.NDArray[np.integer], name: str = "labels") -> Labels:
    """Convert labels of any integer type and shape to uint8 on the CPU.

    Raises LabelError, which names the labels `name`, if a value is outside 0..255.
    """
    if labels.dtype not in (torch.uint8, np.uint8) and 0 not in labels.shape:
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= VALUES:
            raise LabelError(f"label values {low}..{high} do not fit 0..255", where=name)
    if isinstance(labels, torch.Tensor):
        return labels.to(torch.uint8).cpu().numpy()
    return np.asarray(labels, np.uint8)


def confusion_matrix(
    label: torch.Tensor | npt.NDArray[np.integer],
    prediction: torch.Tensor | npt.NDArray[np.integer],
    num_classes: int,
    ignore_index: int = 255,
    name: str = "labels",
) -> Matrix:
    """Count the pixels by labelled class (rows) and predicted class (columns): `(K, K)` int64.

    `label` and `prediction` hold integers and have the same shape. Errors call the image `name`.

    Raises:
        LabelError: the shapes differ, a label is neither a class nor `ignore_index`, or a
            prediction is not a class.
    """
    shapes = tuple(label.shape), tuple(prediction.shape)
    if shapes[0] != shapes[1]:
        what = f"label {shapes[0]} and prediction {shapes[1]} differ in shape"
        raise LabelError(what, where=name)
    counts = joint_histogram(as_labels(label, name), as_labels(prediction, name))
    no_class = f"is not one of {num_classes} classes"
    beyond = np.flatnonzero(counts[:, num_classes:].any(axis=0)) + num_classes
    if beyond.size:
        raise LabelError(f"predicted label {beyond[-1]} {no_class}", where=name)
    unknown = np.flatnonzero(counts[num_classes:].any(axis=1)) + num_classes
    unknown = unknown[unknown != ignore_index]
    if unknown.size:
        hint = f"Map such pixels to the ignored value ({ignore_index}) or to a class"
        raise LabelError(f"true label {unknown[0]} {no_class}", where=name, hint=hint)
    matrix = counts[:num_classes, :num_classes].copy()
    if 0 <= ignore_index < num_classes:
        matrix[ignore_index] = 0
    return matrix


def joint_histogram(rows: Labels, columns: Labels) -> npt.NDArray[np.int64]:
    """Count how often each pair of values occurs at the same position of two uint8 arrays.

    Returns `(256, 256)` int64: entry (i, j) is the number of positions where `rows` is i and
    `columns` is j. Both have the same shape. OpenCV's histogram takes a third of the time of
    `np.bincount`, which converts the input to int64.
    """
    first, second = rows.reshape(-1), columns.reshape(-1)
    total = np.zeros((VALUES, VALUES), np.int64)
    for start in range(0, first.size, _CHUNK):
        woven = [_interleave(values[start : start + _CHUNK]) for values in (first, second)]
        ranges = [0, VALUES, 0, VALUES]
        total += cv2.calcHist(woven, [0, 1], None, [VALUES, VALUES], ranges).astype(np.int64)
    return total


def _interleave(values: Labels) -> Labels:
    """Interleave the four quarters of `values` to one row `(1, N)`, to speed up the histogram.

    Neighbouring pixels are mostly equal, and incrementing the same bin twice in a row stalls on the
    first store.
    """
    quarter, rest = divmod(len(values), _LANES)
    if not quarter:
        return values.reshape(1, -1)
    lanes = values[: _LANES * quarter].reshape(_LANES, 1, quarter)
    woven = np.asarray(cv2.merge(list(lanes)), np.uint8).reshape(1, -1)
    return np.append(woven, values[-rest:][None], axis=1) if rest else woven


def _ratio(part: Counts, whole: Counts) -> Values:
    ratio = np.full(part.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def nanmean(values: Values) -> Values:
    """Return the mean over the last axis, ignoring NaN; NaN, without a warning, if all are NaN."""
    present = ~np.isnan(values)
    total = np.where(present, values, 0.0).sum(axis=-1)
    return _ratio(np.asarray(total), np.asarray(present.sum(axis=-1)))


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """True positives, false negatives and false positives of each class, and scores in 0..1.

    A score is NaN where there is nothing to score.
    """

    counts: Counts
    """`(..., K, 3)`, int64 or float64 with integer values, for K classes.

    Leading axes are images or bootstrap resamples.
    """

    @classmethod
    def from_matrix(cls, matrix: Matrix) -> ClassCounts:
        """Compute the counts from a confusion matrix `(K, K)` with labelled classes as rows."""
        hits = np.diagonal(matrix)
        return cls(np.stack([hits, matrix.sum(axis=1) - hits, matrix.sum(axis=0) - hits], axis=-1))

    @property
    def hits(self) -> Counts:
        """True positives, `(..., K)`."""
        return self.counts[..., 0]

    @property
    def pixels(self) -> Counts:
        """Labelled pixels of each class, `(..., K)`."""
        return np.asarray(self.counts[..., 0] + self.counts[..., 1])

    @property
    def iou(self) -> Values:
        """IoU of each class, `(..., K)`; NaN for a class in neither label nor prediction."""
        return _ratio(self.hits, self.counts.sum(axis=-1))

    @property
    def accuracy(self) -> Values:
        """Recall of each class, `(..., K)`; NaN for a class without labelled pixels."""
        return _ratio(self.hits, self.pixels)

    @property
    def precision(self) -> Values:
        """Precision of each class, `(..., K)`; NaN for a class that is not predicted."""
        return _ratio(self.hits, self.hits + self.counts[..., 2])

    @property
    def dice(self) -> Values:
        """Dice coefficient of each class, `(..., K)`; NaN where IoU is."""
        return _ratio(2 * self.hits, self.hits + self.counts.sum(axis=-1))

    @property
    def fscore(self) -> Values:
        """F1 score of each class, `(..., K)`: Dice, but NaN for a class without a hit, as in mmseg.

        The precision and recall of such a class have no harmonic mean.
        """
        return np.where(self.hits > 0, self.dice, np.nan)

    def summary(self) -> dict[str, Values]:
        """Return the mean scores over classes or pixels, each of shape `(...)`, by mmseg's names.

        aAcc is the fraction of correct pixels, and fwIoU is the IoU weighted by labelled pixels
        (Long et al., CVPR 2015). The others are means over the classes that have the score.
        """
        total = self.pixels.sum(axis=-1)
        weighted = np.where(self.pixels > 0, self.iou, 0.0) * self.pixels
        return {
            "mIoU": nanmean(self.iou),
            "mAcc": nanmean(self.accuracy),
            "aAcc": _ratio(self.hits.sum(axis=-1), total),
            "fwIoU": _ratio(weighted.sum(axis=-1), total),
            "mDice": nanmean(self.dice),
            "mFscore": nanmean(self.fscore),
            "mPrecision": nanmean(self.precision),
            "mRecall": nanmean(self.accuracy),
        }

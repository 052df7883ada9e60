"""Scores that Cityscapes and ADE20K publish in addition to, or instead of, class IoU."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isnet.data.catalog import read_published
from isnet.metrics.confusion_matrix import ClassCounts, Matrix, nanmean

CITYSCAPES_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}
"""As in the labels of cityscapesscripts; `void` has no scored class."""
_CLASSES = {"cityscapes": 19, "ade20k": 150}
"""Number of classes of the benchmarks that publish scores of their own."""


def category_iou(
    matrix: Matrix, classes: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Compute the IoU of each category of classes (cityscapesscripts, getIouScoreForCategory).

    Confusion within a category counts as correct. The IoU is NaN for a category in neither label
    nor prediction. `matrix` `(K, K)` has the K labelled classes as rows, in the order of `classes`.
    """
    member = np.array(
        [[name in members for name in classes] for members in categories.values()], np.int64
    )
    iou = ClassCounts.from_matrix(member @ matrix @ member.T).iou
    return dict(zip(categories, iou.tolist(), strict=True))


def ade20k_scores(matrix: Matrix) -> dict[str, float]:
    """Compute the scores of the ADE20K scene-parsing benchmark, as its evaluation code does.

    These are the mIoU over all classes (an absent class counts as 0), the pixel accuracy, and the
    mean of both as the final score.
    """
    counts = ClassCounts.from_matrix(matrix)
    iou = float(np.nan_to_num(counts.iou, nan=0.0).mean())
    accuracy = float(counts.summary()["aAcc"])
    return {"mIoU": iou, "pixel_accuracy": accuracy, "score": (iou + accuracy) / 2}


def benchmark_scores(matrix: Matrix, classes: Sequence[str]) -> dict[str, Any]:
    """Return the additional scores of the benchmark that has these classes.

    The keys are `category_mIoU` and `categories` for Cityscapes, `ade20k` for ADE20K, and none for
    other classes. Scores of absent classes are None.
    """
    if _are_classes_of("cityscapes", classes):
        iou = category_iou(matrix, classes, CITYSCAPES_CATEGORIES)
        mean = float(nanmean(np.array(list(iou.values()))))
        return {"category_mIoU": null(mean), "categories": _nulls(iou)}
    if _are_classes_of("ade20k", classes):
        return {"ade20k": _nulls(ade20k_scores(matrix))}
    return {}


def _are_classes_of(dataset: str, classes: Sequence[str]) -> bool:
    if len(classes) != _CLASSES[dataset]:
        return False  # a description of 150 classes takes a fifth of a second to read
    return [row.name for row in read_published(dataset).classes] == list(classes)


def null(value: float) -> float | None:
    """Convert a number to a float for JSON, or to None if it is NaN."""
    return None if math.isnan(value) else float(value)


def _nulls(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: null(value) for name, value in values.items()}

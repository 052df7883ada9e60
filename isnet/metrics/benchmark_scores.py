"""Scores that single benchmarks publish beside, or instead of, class IoU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isnet.data.catalog import read_published
from isnet.metrics.confusion_matrix import Matrix, Scores, nanmean

__all__ = ["CITYSCAPES_CATEGORIES", "ade20k_scores", "benchmark_scores", "category_iou"]

CITYSCAPES_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}
"""As in cityscapesscripts' labels; `void` has no class that is scored."""


def category_iou(
    matrix: Matrix, classes: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """Return the IoU of groups of classes, as cityscapesscripts does (getIouScoreForCategory): what
    is confused within a category is right. NaN where a category is in neither truth nor prediction.

    `matrix` `(K, K)`: rows are truth, in the order of `classes`.
    """
    member = np.array(
        [[name in members for name in classes] for members in categories.values()], np.int64
    )
    iou = Scores(member @ matrix @ member.T).iou
    return dict(zip(categories, iou.tolist(), strict=True))


def ade20k_scores(matrix: Matrix) -> dict[str, float]:
    """Return what the scene-parsing benchmark's evaluation code returns: mIoU over all classes, of
    which one that is absent counts 0; pixel accuracy; and the final score, the mean of both.
    """
    scores = Scores(matrix)
    iou = float(np.nan_to_num(scores.iou, nan=0.0).mean())
    accuracy = scores.summary()["aAcc"]
    return {"mIoU": iou, "pixel_accuracy": accuracy, "score": (iou + accuracy) / 2}


def benchmark_scores(matrix: Matrix, classes: Sequence[str]) -> dict[str, Any]:
    """Return the additional scores of the benchmark that has these classes, absent ones as None:
    `category_mIoU` and `categories` for Cityscapes, `ade20k` for ADE20K; else nothing.
    """
    if list(classes) == _classes_of("cityscapes"):
        iou = category_iou(matrix, classes, CITYSCAPES_CATEGORIES)
        mean = float(nanmean(np.array(list(iou.values()))))
        return {"category_mIoU": _null(mean), "categories": _nulls(iou)}
    if list(classes) == _classes_of("ade20k"):
        return {"ade20k": _nulls(ade20k_scores(matrix))}
    return {}


def _classes_of(kind: str) -> list[str]:
    return [row.name for row in read_published(kind).classes]


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _nulls(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _null(value) for name, value in values.items()}

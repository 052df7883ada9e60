from __future__ import annotations

import math

import numpy as np
import pytest

from isnet.data.catalog import read_published
from isnet.metrics.benchmark_scores import (
    CITYSCAPES_CATEGORIES,
    ade20k_scores,
    benchmark_scores,
    category_iou,
)
from isnet.metrics.confusion_matrix import ClassCounts, confusion_matrix

CITYSCAPES = [row.name for row in read_published("cityscapes").classes]
ADE20K = [row.name for row in read_published("ade20k").classes]


def test_categories_are_those_of_cityscapesscripts():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels").labels
    official = {
        label.name: label.category for label in labels if not label.ignoreInEval and label.id >= 0
    }
    ours = {name: group for group, names in CITYSCAPES_CATEGORIES.items() for name in names}
    assert ours == official


def test_confusion_within_a_category_is_right():
    matrix = np.array([[5, 2, 1], [3, 4, 0], [0, 1, 7]])
    iou = category_iou(matrix, ["a", "b", "c"], {"ab": ["a", "b"], "c": ["c"], "none": []})
    assert iou["ab"] == 14 / 16 and iou["c"] == 7 / 9 and math.isnan(iou["none"])


def ade20k_by_histograms(pairs, classes):
    """The benchmark's convention, image by image: labels 1..K, 0 is unlabelled; predictions count
    where there is a label; eps in the denominators."""
    intersection, union = np.zeros(classes), np.zeros(classes)
    correct = labelled = 0
    for truth, prediction in pairs:
        prediction = prediction * (truth > 0)
        edges = np.arange(1, classes + 2)
        same = np.histogram(prediction[prediction == truth], edges)[0]
        union += np.histogram(prediction, edges)[0] + np.histogram(truth, edges)[0] - same
        intersection += same
        correct += np.sum((prediction == truth) & (truth > 0))
        labelled += np.sum(truth > 0)
    iou = np.mean(intersection / (np.spacing(1) + union))
    accuracy = correct / (np.spacing(1) + labelled)
    return {"mIoU": iou, "pixel_accuracy": accuracy, "score": (iou + accuracy) / 2}


def test_ade20k_scores_are_those_of_its_evaluation_code():
    random = np.random.default_rng(0)
    pairs, matrix = [], np.zeros((150, 150), np.int64)
    for _ in range(3):
        truth = random.integers(0, 100, (50, 60))  # some fifty classes are absent
        prediction = np.where(random.random(truth.shape) < 0.6, truth, random.integers(1, 90))
        prediction = np.maximum(prediction, 1)
        pairs.append((truth, prediction))
        ids = np.where(truth == 0, 255, truth - 1)
        matrix += confusion_matrix(ids.astype(np.uint8), (prediction - 1).astype(np.uint8), 150)
    assert ade20k_scores(matrix) == pytest.approx(ade20k_by_histograms(pairs, 150), abs=1e-14)
    assert ade20k_scores(matrix)["mIoU"] < ClassCounts.from_matrix(matrix).summary()["mIoU"], (
        "absent counts as 0"
    )


def test_a_benchmark_is_known_by_its_classes():
    matrix = np.diag([3] + 18 * [0])
    cityscapes = benchmark_scores(matrix, CITYSCAPES)
    assert cityscapes["categories"]["flat"] == 1.0 and cityscapes["categories"]["sky"] is None
    assert cityscapes["category_mIoU"] == 1.0
    ade20k = benchmark_scores(np.eye(150, dtype=np.int64), ADE20K)
    assert ade20k == {"ade20k": {"mIoU": 1.0, "pixel_accuracy": 1.0, "score": 1.0}}
    assert benchmark_scores(np.zeros((150, 150), np.int64), ADE20K)["ade20k"]["score"] is None
    assert benchmark_scores(matrix, CITYSCAPES[::-1]) == {}

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from isnet.errors import UserError
from isnet.metrics.benchmark_scores import CITYSCAPES_CATEGORIES, category_iou
from isnet.metrics.confusion_matrix import (
    ClassCounts,
    LabelError,
    as_labels,
    confusion_matrix,
)


def random_labels(seed: int, classes: int, shape: tuple[int, int] = (13, 17), ignored: float = 0.2):
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, shape).astype(np.uint8)
    prediction = np.where(random.random(shape) < 0.5, truth, random.integers(0, classes, shape))
    truth[random.random(shape) < ignored] = 255
    return truth, prediction.astype(np.uint8)


def counted_naively(truth, prediction, classes, ignore_index=255):
    matrix = np.zeros((classes, classes), np.int64)
    for row, column in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if row != ignore_index:
            matrix[row, column] += 1
    return matrix


@pytest.mark.parametrize("classes", [2, 19, 150, 255])
@pytest.mark.parametrize("seed", range(3))
def test_matrix_equals_a_double_loop(classes, seed):
    truth, prediction = random_labels(seed, classes)
    matrix = confusion_matrix(truth, prediction, classes)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, counted_naively(truth, prediction, classes))


def test_tensors_of_any_integer_type_and_extra_axes_count_alike():
    truth, prediction = random_labels(0, 7)
    expected = confusion_matrix(truth, prediction, 7)
    tensors = torch.from_numpy(truth).long()[None], torch.from_numpy(prediction).int()[None]
    np.testing.assert_array_equal(confusion_matrix(*tensors, 7), expected)


def test_an_ignored_value_that_is_a_class_number_counts_nowhere():
    truth, prediction = random_labels(1, 5, ignored=0)
    matrix = confusion_matrix(truth, prediction, 5, ignore_index=2)
    np.testing.assert_array_equal(matrix, counted_naively(truth, prediction, 5, ignore_index=2))


def test_more_pixels_of_a_pair_than_float32_can_count():
    pixels = 2**24 + 1
    matrix = confusion_matrix(np.zeros(pixels, np.uint8), np.ones(pixels, np.uint8), 2)
    assert matrix.tolist() == [[0, pixels], [0, 0]]


def test_an_unknown_true_label_is_refused_by_name():
    truth, prediction = random_labels(0, 4)
    truth[0, 0] = 4
    with pytest.raises(
        LabelError, match=r"town\.png: true label 4 is not one of 4 classes"
    ) as error:
        confusion_matrix(truth, prediction, 4, name="town.png")
    assert isinstance(error.value, UserError) and isinstance(error.value, ValueError)


def test_an_unknown_prediction_and_unequal_shapes_are_refused():
    truth, prediction = random_labels(0, 4)
    with pytest.raises(LabelError, match="predicted label 3 is not one of 3"):
        confusion_matrix(np.minimum(truth, 2), prediction, 3)
    with pytest.raises(LabelError, match="differ in shape"):
        confusion_matrix(truth, prediction[:-1], 4)


@pytest.mark.parametrize("value", [-1, 256, 1 << 16])
def test_labels_beyond_a_byte_are_refused_not_wrapped(value):
    with pytest.raises(LabelError, match="do not fit"):
        as_labels(np.array([[0, value]], np.int64))
    with pytest.raises(LabelError, match="do not fit"):
        as_labels(torch.tensor([[0, value]]))


def test_scores_by_hand():
    scores = ClassCounts.from_matrix(
        np.array([[6, 2, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    )
    np.testing.assert_allclose(scores.iou[:2], [6 / 9, 3 / 6])
    np.testing.assert_allclose(scores.accuracy[:2], [6 / 8, 3 / 4])
    assert np.isnan(scores.iou[2:]).all() and np.isnan(scores.accuracy[2:]).all()
    assert scores.pixels.tolist() == [8, 4, 0, 0]
    expected = {"mIoU": (6 / 9 + 3 / 6) / 2, "mAcc": 0.75, "aAcc": 9 / 12}
    expected["fwIoU"] = (8 * 6 / 9 + 4 * 3 / 6) / 12
    dice = (12 / 15 + 6 / 9) / 2
    expected |= {"mDice": dice, "mFscore": dice, "mPrecision": (6 / 7 + 3 / 5) / 2}
    assert scores.summary() == pytest.approx(expected | {"mRecall": 0.75})


def test_a_class_only_predicted_has_iou_zero_and_no_accuracy():
    scores = ClassCounts.from_matrix(np.array([[3, 1], [0, 0]]))
    assert scores.iou.tolist() == [0.75, 0.0]
    assert scores.accuracy[0] == 0.75 and math.isnan(scores.accuracy[1])
    means = {"mIoU": 0.375, "mAcc": 0.75, "aAcc": 0.75, "fwIoU": 0.75, "mRecall": 0.75}
    dice = {"mDice": 6 / 7 / 2, "mFscore": 6 / 7, "mPrecision": 0.5}
    assert scores.summary() == pytest.approx(means | dice)


@pytest.mark.filterwarnings("error")
def test_nothing_to_score_is_nan_without_a_warning():
    summary = ClassCounts.from_matrix(np.zeros((3, 3), np.int64)).summary()
    assert all(math.isnan(value) for value in summary.values())


def maps_with_rare_classes(seed: int):
    """Labels and predictions: class 18 in neither, 17 only predicted, 16 only labelled, 15 in both
    but never in the same pixel.
    """
    truth, prediction = random_labels(seed, 19, (64, 96))
    truth[(truth == 17) | (truth == 18)] = 0
    prediction[(prediction == 16) | (prediction == 18)] = 0
    prediction[(prediction == 15) & (truth == 15)] = 1
    return truth, prediction


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_mmseg_within_its_float32(seed):
    truth, prediction = maps_with_rare_classes(seed)
    areas = IoUMetric.intersect_and_union(
        torch.from_numpy(prediction).long(), torch.from_numpy(truth).long(), 19, 255
    )
    theirs = IoUMetric.total_area_to_metrics(*areas, metrics=["mIoU", "mDice", "mFscore"])
    ours = ClassCounts.from_matrix(confusion_matrix(truth, prediction, 19))
    columns = {
        "IoU": ours.iou, "Acc": ours.accuracy, "Dice": ours.dice, "Fscore": ours.fscore,
        "Precision": ours.precision, "Recall": ours.accuracy,
    }  # fmt: skip
    assert {"aAcc", *columns} == set(theirs)
    for name, values in columns.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-6, err_msg=name)
        mean = float(np.nanmean(theirs[name]))
        assert ours.summary()[f"m{name}"] == pytest.approx(mean, rel=1e-6), name
    assert ours.summary()["aAcc"] == pytest.approx(float(theirs["aAcc"]), rel=1e-6)
    assert math.isnan(ours.fscore[15]) and ours.dice[15] == 0


def test_scores_equal_cityscapesscripts_to_the_last_bit(tmp_path: Path):
    official = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    labels = [label for label in official.labels if not label.ignoreInEval and label.id >= 0]
    to_id = np.zeros(256, np.uint8)
    for label in labels:
        to_id[label.trainId] = label.id
    matrix, files = np.zeros((19, 19), np.int64), []
    for seed in range(2):
        truth, prediction = random_labels(seed, 19, (48, 64))
        truth[truth == 4] = 3
        matrix += confusion_matrix(truth, prediction, 19)
        files.append((str(tmp_path / f"p{seed}.png"), str(tmp_path / f"aa_{seed}_0_labelIds.png")))
        cv2.imwrite(files[-1][0], to_id[prediction])
        cv2.imwrite(files[-1][1], to_id[truth])
    settings = vars(official.args) | {
        "evalInstLevelScore": False,
        "evalPixelAccuracy": False,
        "JSONOutput": False,
        "quiet": True,
    }
    predictions, truths = zip(*files, strict=True)
    theirs = official.evaluateImgLists(
        list(predictions), list(truths), argparse.Namespace(**settings)
    )
    ours = ClassCounts.from_matrix(matrix)
    expected = [
        theirs["classScores"][label.name] for label in sorted(labels, key=lambda x: x.trainId)
    ]
    assert ours.iou.tolist() == expected
    assert ours.summary()["mIoU"] == pytest.approx(theirs["averageScoreClasses"], abs=1e-15)
    classes = [label.name for label in sorted(labels, key=lambda x: x.trainId)]
    categories = category_iou(matrix, classes, CITYSCAPES_CATEGORIES)
    assert categories == {
        name: score for name, score in theirs["categoryScores"].items() if name != "void"
    }
    assert math.isnan(theirs["categoryScores"]["void"])
    assert np.mean(list(categories.values())) == pytest.approx(
        theirs["averageScoreCategories"], abs=1e-15
    )


def test_frequency_weighted_iou_by_hand():
    matrix = np.array([[6, 2, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    frequency, iou = np.array([8, 4, 0, 1]) / 13, np.array([6 / 9, 3 / 7, 0, 0])
    assert ClassCounts.from_matrix(matrix).summary()["fwIoU"] == pytest.approx(frequency @ iou)

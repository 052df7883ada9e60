from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from isnet.errors import UserError
from isnet.inference.evaluation_files import Evaluation
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.metrics.confusion_matrix import ClassCounts
from isnet.metrics.evaluation_sums import EvaluationSums, ImageCounts

CLASSES = 4


def image(index: int, several: bool = True) -> ImageCounts:
    random = np.random.default_rng(index)
    truth = random.integers(0, 3, (30 + index, 40)).astype(np.uint8)
    single, multi = (
        np.where(random.random(truth.shape) < share, truth, 1).astype(np.uint8)
        for share in (0.5, 0.7)
    )
    truth[:4] = 255
    confidence = random.random(truth.shape, np.float32)
    given = (single, confidence), multi if several else None
    return ImageCounts.of(index, f"image {index}", truth, *given, CLASSES, 255, f"{index}.png")


IMAGES = [image(index) for index in range(7)]


def state(sums: EvaluationSums) -> list[bytes]:
    views = [sums.single_scale, sums.multi_scale]
    arrays = [array for one in views for array in (one.confusion, one.areas, one.boundary)]
    arrays.append(sums.calibration)
    assert {array.dtype for array in arrays} == {np.dtype(np.int64)}
    return [*map(bytes, arrays), " ".join(sums.names).encode()]


@pytest.mark.parametrize("processes", [1, 2, 3, 5, 9])
def test_any_split_over_processes_adds_up_to_the_same_bits(processes):
    expected = state(EvaluationSums(CLASSES, IMAGES))
    parts = [IMAGES[number::processes] for number in range(processes)]
    for order in itertools.islice(itertools.permutations(parts), 10):
        assert state(EvaluationSums(CLASSES, itertools.chain(*order))) == expected
    assert state(EvaluationSums(CLASSES, reversed(IMAGES))) == expected


def test_sums_are_those_of_the_images():
    sums = EvaluationSums(CLASSES, IMAGES)
    single = sums.single_scale
    assert len(sums) == 7 and 6 in sums and 7 not in sums
    np.testing.assert_array_equal(single.confusion, sum(i.single_scale.confusion for i in IMAGES))
    for index, one in enumerate(IMAGES):
        np.testing.assert_array_equal(single.boundary[index], one.single_scale.boundary)
        areas = ClassCounts(single.areas[index])
        np.testing.assert_array_equal(
            areas.iou, ClassCounts.from_matrix(one.single_scale.confusion).iou
        )
    assert sums.calibration[:, 0].sum() == single.confusion.sum()
    assert not np.array_equal(sums.multi_scale.confusion, single.confusion)


def test_a_record_survives_json():
    for one in (image(3), image(4, several=False)):
        again = ImageCounts.from_record(json.loads(json.dumps(one.record())), CLASSES)
        assert (again.multi_scale is None) == (one.multi_scale is None)
        assert again.record() == one.record()
        np.testing.assert_array_equal(again.single_scale.confusion, one.single_scale.confusion)
        np.testing.assert_array_equal(again.calibration, one.calibration)


def test_an_image_counts_once():
    sums = EvaluationSums(CLASSES, IMAGES)
    sums.add(image(2))
    assert state(sums) == state(EvaluationSums(CLASSES, IMAGES))
    other = ImageCounts(
        2,
        "image 2",
        *(getattr(image(3), n) for n in ("single_scale", "multi_scale", "calibration")),
    )
    with pytest.raises(UserError, match="image 2 was counted twice"):
        sums.add(other)


def test_little_is_kept_of_an_image():
    big = ImageCounts.of(
        0,
        "big",
        *(
            np.zeros((1024, 2048), np.uint8),
            (np.zeros((1024, 2048), np.uint8), np.ones((1024, 2048), np.float32)),
            None,
        ),
        150,
        255,
        "big.png",
    )
    assert len(json.dumps(big.record())) < 1000, "zeros are not written"
    (rows,) = EvaluationSums(150, [big]).single_scale._rows.values()
    assert rows.nbytes == 150 * 24


def test_scores_come_from_the_sums_of_their_own_counts():
    evaluation = Evaluation(EvaluationSums(CLASSES, IMAGES), "abcd", EvaluationProtocol())
    for view, name in (
        (evaluation.single_scale, "single_scale"),
        (evaluation.multi_scale, "multi_scale"),
    ):
        parts = [getattr(one, name) for one in IMAGES]
        boundary = ClassCounts(sum(part.boundary for part in parts)).iou
        summary = view.summary("abcd")
        assert summary["boundary_mIoU"] == pytest.approx(np.nanmean(boundary))
        assert summary["mIoU"] == pytest.approx(
            np.nanmean(ClassCounts.from_matrix(sum(part.confusion for part in parts)).iou)
        )
        assert summary["boundary_mIoU"] != summary["mIoU"]
        of_images = [np.nanmean(ClassCounts(part.boundary).iou) for part in parts]
        np.testing.assert_allclose(view.images["boundary_mIoU"], of_images)
        low, high = summary["intervals"]["boundary_mIoU"]
        assert low < summary["boundary_mIoU"] < high
    assert evaluation.calibration.counts[:, 0].sum() == sum((30 + i - 4) * 40 for i in range(7))


def test_nothing_counted_is_absent_not_zero():
    evaluation = Evaluation(EvaluationSums(CLASSES), "abcd", EvaluationProtocol())
    summary = evaluation.single_scale.summary("abcd")
    assert summary.pop("intervals") is None
    assert set(summary.values()) == {None} and evaluation.multi_scale is None
    assert evaluation.images == []

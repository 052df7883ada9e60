from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from isnet.metrics.boundary_iou import boundary_counts, boundary_labels, boundary_width
from isnet.metrics.confusion_matrix import ClassCounts

K = 5


def painted(random, labels, values, count):
    for _ in range(count):
        top, left = (random.integers(0, side) for side in labels.shape)
        bottom, right = (
            start + random.integers(1, side)
            for start, side in zip((top, left), labels.shape, strict=True)
        )
        labels[top:bottom, left:right] = random.choice(values)
    return labels


def blobs(seed: int, shape: tuple[int, int], ignored: bool = True):
    """Return truth and prediction of a few rectangles, the truth with ignored ones; the prediction
    is a little beside it, and has a class of its own.
    """
    random = np.random.default_rng(seed)
    truth = painted(random, np.zeros(shape, np.uint8), [0, 1, 2, 3], 8)
    prediction = painted(random, np.roll(truth, (1, 2), (0, 1)), [1, 4], 2)
    return (painted(random, truth, [255], 2) if ignored else truth), prediction


def on_boundary(labels, ignored, row, column, width):
    """Look at every pixel around, one by one."""
    for y in range(row - width, row + width + 1):
        for x in range(column - width, column + width + 1):
            if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]):
                return True
            if not ignored[y, x] and labels[y, x] != labels[row, column]:
                return True
    return False


def counted_slowly(truth, prediction, width):
    counts, ignored = np.zeros((K, 3), np.int64), truth == 255
    for row, column in np.argwhere(~ignored):
        mine, theirs = truth[row, column], prediction[row, column]
        true = on_boundary(truth, ignored, row, column, width)
        predicted = on_boundary(prediction, ignored, row, column, width)
        if true and predicted and mine == theirs:
            counts[mine, 0] += 1
            continue
        counts[mine, 1] += true
        counts[theirs, 2] += predicted
    return counts


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("width", [1, 2, 5])
def test_counts_equal_a_look_at_every_neighbour(seed, width, monkeypatch):
    monkeypatch.setattr("isnet.metrics.boundary_iou.boundary_width", lambda *_: width)
    truth, prediction = blobs(seed, (23, 31))
    counts = boundary_counts(truth, prediction, K)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, counted_slowly(truth, prediction, width))


@pytest.mark.parametrize("seed", range(3))
def test_without_ignored_pixels_it_is_the_papers_erosion_class_by_class(seed):
    truth, prediction = blobs(seed, (120, 200), ignored=False)
    width = boundary_width(120, 200)
    assert width == 5

    def edge(labels, value):
        mask = labels == value
        return mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)

    expected = []
    for value in range(K):
        mine, theirs = edge(truth, value), edge(prediction, value)
        union = (mine | theirs).sum()
        expected.append((mine & theirs).sum() / union if union else np.nan)
    iou = ClassCounts(boundary_counts(truth, prediction, K)).iou
    np.testing.assert_array_equal(iou, expected)
    assert 0.1 < np.nanmean(iou) < 0.9


def test_the_width_is_two_percent_of_the_diagonal_and_at_least_one_pixel():
    assert boundary_width(1024, 2048) == 46
    assert boundary_width(480, 360) == 12
    assert boundary_width(10, 10) == boundary_width(1, 1) == 1


def test_ignored_pixels_neither_count_nor_form_a_boundary():
    truth = np.zeros((40, 60), np.uint8)
    truth[10:30, 20:40] = 255
    prediction = np.zeros_like(truth)
    everywhere = boundary_counts(np.zeros_like(truth), prediction, 2)
    np.testing.assert_array_equal(boundary_counts(truth, prediction, 2), everywhere)
    other = np.where(truth == 255, 1, prediction).astype(np.uint8)
    np.testing.assert_array_equal(boundary_counts(truth, other, 2), everywhere)
    # Two classes on both sides of what is ignored see each other, where that is narrow.
    sides = np.repeat(np.uint8([0] * 20 + [255] + [1] * 20)[None], 40, 0)
    labels = boundary_labels(sides, np.uint8(255) * (sides == 255), 2)
    assert labels[20].tolist() == [0, 0] + [255] * 17 + [0] + [255] + [1] + [255] * 17 + [1, 1]


def test_an_ignored_value_that_is_a_class_number_counts_nowhere():
    truth, prediction = blobs(3, (40, 50), ignored=False)
    moved = np.where(truth == 3, 255, truth).astype(np.uint8)
    np.testing.assert_array_equal(
        boundary_counts(truth, prediction, K, ignore_index=3), boundary_counts(moved, prediction, K)
    )


def test_an_image_smaller_than_its_boundary_is_all_boundary():
    labels = np.uint8([[0, 1]])
    assert boundary_counts(labels, labels, 2).tolist() == [[1, 0, 0], [1, 0, 0]]
    nothing = np.full((3, 3), 255, np.uint8)
    assert boundary_counts(nothing, np.zeros_like(nothing), 2).sum() == 0

from __future__ import annotations

import math

import numpy as np
import pytest

from isnet.metrics.bootstrap import RESAMPLES, bootstrap


def images(count: int, classes: int = 4, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(1, 10_000, (count, classes, 3))


def test_bounds_are_those_of_a_loop_over_resamples():
    counts = images(30)
    counts[1:, 3] = 0  # a class that one image has
    random, mious = np.random.default_rng(7), []
    for _ in range(4 * RESAMPLES):
        sums = counts[random.integers(0, 30, 30)].sum(axis=0)
        mious.append(np.mean([c[0] / c.sum() for c in sums if c.sum()]))
    low, high = bootstrap(counts).means["mIoU"]
    spread = np.std(mious)
    assert low == pytest.approx(np.quantile(mious, 0.025), abs=0.25 * spread)
    assert high == pytest.approx(np.quantile(mious, 0.975), abs=0.25 * spread)


def test_a_share_of_right_pixels_has_the_interval_of_the_textbook():
    random = np.random.default_rng(0)
    right = (random.random(400) < 0.7).astype(np.int64)
    counts = np.stack([right, 1 - right, 0 * right], axis=-1)[:, None]
    low, high = bootstrap(counts).means["aAcc"]
    share = right.mean()
    half = 1.96 * math.sqrt(share * (1 - share) / 400)
    assert (low, high) == pytest.approx((share - half, share + half), abs=0.15 * half)


def test_equal_images_leave_no_doubt():
    counts = np.repeat(images(1), 9, axis=0)
    intervals = bootstrap(counts)
    for low, high in intervals.means.values():
        assert low == high
    np.testing.assert_array_equal(intervals.iou[:, 0], intervals.iou[:, 1])


def test_the_same_images_give_the_same_bits_and_more_images_less_doubt():
    counts = images(40)
    assert bootstrap(counts).means == bootstrap(counts.copy()).means
    widths = [np.subtract(*bootstrap(images(n)).means["mIoU"][::-1]) for n in (10, 160)]
    assert widths[1] < widths[0] / 2


def test_an_absent_class_has_no_bounds_and_one_image_no_interval():
    counts = images(5)
    counts[:, 2] = 0
    bounds = bootstrap(counts).iou
    assert np.isnan(bounds[2]).all() and not np.isnan(bounds[[0, 1, 3]]).any()
    assert bootstrap(images(1)) is None and bootstrap(images(0)) is None

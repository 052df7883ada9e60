from __future__ import annotations

import math

import numpy as np
import pytest

from isnet.metrics.calibration import BINS, Calibration, calibration_counts


def scene(seed: int, overconfident: float = 0.2, shape=(60, 80)):
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.05, 1.0, shape).astype(np.float32)
    truth = random.integers(0, 4, shape).astype(np.uint8)
    right = random.random(shape) < confidence - overconfident
    prediction = np.where(right, truth, (truth + 1) % 4).astype(np.uint8)
    truth[:5] = 255
    return truth, prediction, confidence


def counted_naively(truth, prediction, confidence):
    """Guo et al., ICML 2017, equations 2 and 3, in float64."""
    bins = [[] for _ in range(BINS)]
    for t, p, c in zip(truth.flat, prediction.flat, confidence.flat, strict=True):
        if t != 255:
            bins[min(int(float(c) * BINS), BINS - 1)].append((t == p, float(c)))
    total = sum(map(len, bins))
    gaps = [
        abs(np.mean([a for a, _ in b]) - np.mean([c for _, c in b])) * len(b) for b in bins if b
    ]
    return sum(gaps) / total, [len(b) for b in bins]


@pytest.mark.parametrize("seed", range(3))
def test_the_error_is_that_of_a_loop_over_pixels(seed):
    calibration = Calibration(calibration_counts(*scene(seed)))
    expected, sizes = counted_naively(*scene(seed))
    assert calibration.error == pytest.approx(expected, abs=2**-15)
    assert 0.1 < expected < 0.3
    np.testing.assert_allclose([row["pixels"] for row in calibration.rows()], sizes, atol=2)
    assert calibration.counts[:, 0].sum() == 55 * 80


def test_counts_of_parts_add_up_to_the_bit():
    truth, prediction, confidence = scene(0)
    whole = calibration_counts(truth, prediction, confidence)
    order = np.random.default_rng(1).permutation(60)
    parts = [
        calibration_counts(*(side[rows] for side in (truth, prediction, confidence)))
        for rows in np.array_split(order, 7)
    ]
    assert whole.dtype == np.int64
    np.testing.assert_array_equal(sum(parts), whole)


def test_certainty_is_in_the_last_bin_and_edges_open_the_next_one():
    confidence = np.float32([[1.0, 0.99, 1 / 3 + 1e-4, 1 / 3 - 1e-4, 0.0]])
    zeros = np.zeros((1, 5), np.uint8)
    pixels = calibration_counts(zeros, zeros, confidence)[:, 0]
    assert np.flatnonzero(pixels).tolist() == [0, 4, 5, 14] and pixels[14] == 2


def test_a_calibrated_model_has_no_error_and_no_pixels_give_nan():
    half = np.full((100, 100), 0.5, np.float32)
    truth = np.zeros((100, 100), np.uint8)
    prediction = truth.copy()
    prediction[::2] = 1
    assert Calibration(calibration_counts(truth, prediction, half)).error < 2**-15
    empty = Calibration(calibration_counts(truth + np.uint8(255), prediction, half))
    assert math.isnan(empty.error)
    assert {row["accuracy"] for row in empty.rows()} == {None}

import numpy as np
import pytest

from isnet.metrics.confusion_matrix import joint_histogram


@pytest.mark.parametrize("pixels", [0, 1, 3, 4, 5, 1001, (1 << 24) + 3])
def test_every_pair_of_values_counts_whatever_the_number_of_pixels(pixels: int):
    random = np.random.default_rng(pixels)
    rows, columns = (random.integers(0, 256, pixels, np.uint8) for _ in range(2))
    expected = np.bincount(rows.astype(np.int64) * 256 + columns, minlength=65536)
    np.testing.assert_array_equal(joint_histogram(rows, columns), expected.reshape(256, 256))


def test_views_in_any_memory_order_count_by_place():
    rows = np.arange(35, dtype=np.uint8).reshape(5, 7)[:, ::-1]
    columns = rows.T.copy().T
    counts = joint_histogram(rows, columns)
    assert counts.trace() == 35
    assert counts.sum() == 35

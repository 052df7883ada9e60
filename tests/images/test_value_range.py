"""Images of more than 8 bits: their values as stored, and what becomes of them."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tiff_files import encode_tiff

from isnet.images.image_file import check_mode, decode_image, decode_values, read_header
from isnet.images.pixel_format import PixelFormat
from isnet.images.value_range import measure_range, stretch, to_8_bits, widest

BLACK_IS_ZERO, RGB = 1, 2
FILE = Path("a")


def _values(kind: str, bands: int) -> np.ndarray[Any, Any]:
    shape = (5, 7) if bands == 1 else (5, 7, bands)
    noise = np.random.default_rng(0).integers(-100 if kind[0] != "u" else 0, 100, shape)
    return (noise * (1 if kind[1] == "1" else 300)).astype(kind)


@pytest.mark.parametrize(
    ("order", "kind", "bands"),
    list(itertools.product("<>", ("i1", "u2", "i2", "u4", "i4", "f4", "f8"), (1, 3))),
)
def test_a_tiff_of_any_type_is_read_with_its_values(order: str, kind: str, bands: int) -> None:
    values = _values(kind, bands)
    content = encode_tiff(values, RGB if bands == 3 else BLACK_IS_ZERO, order=order)
    check_mode(FILE, read_header(FILE, content), has_range=True)
    read = decode_values(FILE, content)
    assert read.dtype == values.dtype
    wanted = values[..., ::-1] if bands == 3 else values[..., None].repeat(3, axis=2)
    np.testing.assert_array_equal(read, wanted)
    eight = decode_image(FILE, content, PixelFormat((-32000, 32000)))
    np.testing.assert_array_equal(eight, np.rint((wanted.astype(float) + 32000) / 64000 * 255))


@pytest.mark.parametrize(("suffix", "bands"), [(".png", 1), (".png", 3), (".png", 4), (".ppm", 3)])
def test_16_bits_of_other_formats_are_read_with_their_values(suffix: str, bands: int) -> None:
    values = _values("u2", bands)
    content = cv2.imencode(suffix, values)[1].tobytes()
    check_mode(FILE, read_header(FILE, content), has_range=False)
    wanted = values[..., None].repeat(3, axis=2) if bands == 1 else values[..., :3]
    np.testing.assert_array_equal(decode_values(FILE, content), wanted)
    np.testing.assert_array_equal(decode_image(FILE, content), wanted >> 8)


def test_values_beyond_the_range_are_cut_and_none_is_black() -> None:
    values = np.array([[-np.inf, -1, 0, 0.5, 1, 9, np.inf, np.nan]], np.float32)
    assert to_8_bits(values, (0, 1)).tolist() == [[0, 0, 0, 128, 255, 255, 255, 0]]
    large = np.array([[2**32 - 1, 2**32 - 2, 2**32 - 256]], np.uint32)
    assert to_8_bits(large, (2**32 - 256, 2**32 - 1)).tolist() == [[255, 254, 0]]


def test_8_bits_stay_as_they_are() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_8_bits(values, (0, 4095)), values)
    np.testing.assert_array_equal(stretch(values), values)


def test_the_measured_range_leaves_out_hot_pixels_and_no_data() -> None:
    values = np.arange(1, 1001, dtype=np.float32).reshape(20, 50)
    values[0, 0], values[0, 1], values[-1, -1] = 1e9, np.nan, -1e9
    assert measure_range(values) == pytest.approx((6, 996), abs=2)
    assert measure_range(np.full((2, 2), np.nan)) is None
    assert widest([(3, 5), (4, 9)]) == (3, 9)
    assert stretch(np.full((2, 2, 3), 7, np.uint16)).max() == 0  # one value has no range
    large = np.broadcast_to(np.arange(3000, dtype=np.uint16), (3000, 3000))
    assert measure_range(large) == pytest.approx((15, 2985), abs=5)

"""PNG by zlib-ng: the same pixels, and what is damaged stays damaged."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from isnet.data.convert.png_codec import encode_grey, store_uncompressed


def decoded(content: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (37, 53), (700, 900)])
def test_every_decoder_reads_what_is_encoded(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    content = encode_grey(pixels)
    np.testing.assert_array_equal(decoded(content), pixels)
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(64, 48), (700, 500)])
def test_uncompressed_files_have_the_same_pixels(mode: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 4), np.uint8)
    image = Image.fromarray(noise).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    packed = io.BytesIO()
    image.save(packed, "PNG")
    stored = store_uncompressed(packed.getvalue())
    assert stored != packed.getvalue()
    np.testing.assert_array_equal(decoded(stored), decoded(packed.getvalue()))


def test_any_flipped_bit_is_left_for_the_decoder_to_refuse() -> None:
    content = encode_grey(np.random.default_rng(2).integers(0, 9, (40, 50), np.uint8))
    for place in range(8, len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 4
        assert (
            store_uncompressed(bytes(damaged)) == bytes(damaged) or decoded(bytes(damaged)) is None
        )


@pytest.mark.parametrize("length", [0, 5, 8, 20, 60, -1, -14])
def test_what_is_cut_or_no_png_is_returned_as_it_is(length: int) -> None:
    content = encode_grey(np.zeros((40, 50), np.uint8))[:length]
    assert store_uncompressed(content) == content
    assert store_uncompressed(b"no image at all") == b"no image at all"

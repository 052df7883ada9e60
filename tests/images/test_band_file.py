"""Bands of TIFF files: any arrangement, type and compression, and what people are shown of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from tiff_files import encode_tiff

from isnet.errors import UserError
from isnet.extras import EXTRAS
from isnet.images import band_file
from isnet.images.band_file import band_image_size
from isnet.images.image_file import decode_image, decode_values, read_header
from isnet.images.pixel_format import Bands, PixelFormat, swap_colours, to_picture
from isnet.inference.input_images import decode_rgb

FILE = Path("a.tif")
Values = npt.NDArray[Any]


def values_of(kind: str, bands: int) -> Values:
    noise = np.random.default_rng(0).integers(0, 120, (50, 70, bands))
    return (noise * (1 if kind[1] == "1" else 200)).astype(kind)


def encode(values: Values, arrangement: str = "contig", **options: Any) -> bytes:
    """Write bands interleaved, each for itself, or as pages."""
    content = io.BytesIO()
    stored = values if arrangement == "contig" else np.moveaxis(values, -1, 0)
    options |= {} if arrangement == "pages" else {"planarconfig": arrangement}
    tifffile.imwrite(content, stored, photometric="minisblack", **options)
    return content.getvalue()


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
@pytest.mark.parametrize("arrangement", ["contig", "separate", "pages"])
def test_bands_are_read_with_their_values(arrangement: str, compression: str | None) -> None:
    for kind, bands in (("u1", 2), ("u2", 4), ("i2", 8), ("f4", 13)):
        values = values_of(kind, bands)
        predicted = bool(compression) and kind != "f4"
        options = {"compression": compression, "predictor": predicted, "tile": (32, 32)}
        content = encode(values, arrangement, **options)
        read = decode_values(FILE, content, Bands.of(bands))
        assert read.dtype == values.dtype
        np.testing.assert_array_equal(read, values)
    assert band_image_size(FILE, content) == (70, 50)


def test_a_choice_of_bands_is_read_in_its_order_and_three_are_red_green_and_blue() -> None:
    values = values_of("u2", 8)
    content = encode(values, bigtiff=True)
    read = decode_values(FILE, content, Bands.of((8, 1, 5, 2)))
    np.testing.assert_array_equal(read, values[..., [7, 0, 4, 1]])
    colours = decode_values(FILE, content, Bands.of((4, 3, 2)))
    np.testing.assert_array_equal(colours, values[..., [1, 2, 3]])  # BGR, as other images
    np.testing.assert_array_equal(swap_colours(colours), values[..., [3, 2, 1]])


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_big_tiff_is_named_where_no_bands_are_described(order: str) -> None:
    content = encode(values_of("u2", 4), bigtiff=True, byteorder=order)
    with pytest.raises(UserError, match=r"a BigTIFF, which is read only by a description with"):
        read_header(FILE, content)


def test_each_band_has_its_own_range() -> None:
    values = np.array([[[0, 500], [100, 1000], [60, 0]]], np.uint16)
    bands = Bands.of(2).model_copy(update={"ranges": ((0.0, 100.0), (500.0, 1000.0))})
    eight = decode_image(FILE, encode(values), PixelFormat(bands=bands))
    assert eight.tolist() == [[[0, 0], [255, 255], [153, 0]]]
    with pytest.raises(UserError, match=r"a\.tif: has values of uint16, and no range says"):
        decode_image(FILE, encode(values), PixelFormat(bands=Bands.of(2)))


def test_people_are_shown_the_first_three_bands_or_the_first_of_two() -> None:
    image = values_of("u1", 5)
    np.testing.assert_array_equal(to_picture(swap_colours(image)), image[..., :3])
    assert (to_picture(image[..., :2]) == image[..., :1]).all()


@pytest.mark.parametrize(
    ("content", "wanted", "message"),
    [
        (encode(values_of("u2", 3)), 4, "a.tif: has 3 bands, and `bands` is 4."),
        (encode(values_of("u2", 5)), 4, "a.tif: has 5 bands, and `bands` is 4."),
        (encode(values_of("u2", 3)), (4, 3, 2), r"a.tif: has 3 bands, and `bands` is \[4, 3, 2\]."),
        (encode(values_of("u2", 4).astype("c8")), 4, "a.tif: has values of complex64."),
        (encode(values_of("u2", 4))[:9000], 4, "a.tif: cannot be read: damaged, or of an unknown"),
        (b"\x89PNG\r\n", 4, "a.tif: is no TIFF, and `bands` are read from TIFF files alone."),
        (
            encode_tiff(values_of("u2", 4), 1, extra=(0, 0, 0), orientation=6),
            *(4, "a.tif: an orientation turns or mirrors it."),
        ),
    ],
)
def test_a_file_without_these_bands_is_refused(
    content: bytes, wanted: int | tuple[int, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        decode_values(FILE, content, Bands.of(wanted))


def test_very_many_pixels_are_read_of_a_data_set_and_refused_from_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    content = encode(values_of("u1", 4))
    pixel_format = PixelFormat(bands=Bands.of(4))
    assert decode_image(FILE, content, pixel_format).shape == (50, 70, 4)
    with pytest.raises(UserError, match=r"a\.tif: .*more than \d+ million pixels"):
        decode_rgb(FILE, content, pixel_format)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(band_file, "is_installed", lambda _: False)
    with pytest.raises(UserError, match=r"tifffile is not installed.*Run `pip install"):
        decode_values(FILE, encode(values_of("u2", 4)), Bands.of(4))
    assert EXTRAS["geotiff"] == ("tifffile", "imagecodecs")


@pytest.mark.parametrize(
    ("content", "bands"),
    [
        (encode_tiff(values_of("u2", 4), 1, extra=(0, 0, 0)), 4),
        (encode_tiff(values_of("u1", 8), 1, extra=(0,) * 7), 8),
        (encode_tiff(values_of("f4", 5), 2, extra=(0, 0)), 5),
        (encode_tiff(values_of("u1", 4), 2, extra=(0,)), 4),
        (encode_tiff(values_of("u2", 3), 2, planes=True), 3),
        (encode_tiff(values_of("u1", 4), 2, extra=(2,)), None),  # transparency
        (encode_tiff(values_of("u2", 3), 2), None),
        (encode_tiff(values_of("u2", 1), 1), None),
    ],
)
def test_a_header_tells_whether_an_image_needs_bands(content: bytes, bands: int | None) -> None:
    assert read_header(FILE, content).bands == bands

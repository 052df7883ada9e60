"""TIFF files in their forms: labels have the stored ids, images their values, or they are refused."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiff_files import encode_tiff

from isnet.data.catalog.dataset_description import LabelForm
from isnet.data.convert.label_reader import read_label
from isnet.data.convert.source_image import check_image
from isnet.errors import UserError
from isnet.images.image_file import decode

IDS = np.arange(12, dtype=np.uint8).reshape(3, 4)
RGB = np.stack([IDS * 20, IDS + 7, 255 - IDS], axis=-1)
RGBA = np.concatenate([RGB, np.full((3, 4, 1), 255, np.uint8)], axis=-1)
PALETTE = [(255 - index) * 257 for index in range(256)] * 3
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8")
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB_COLOURS, INDEXED, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8


def _label(path: Path, content: bytes, form: LabelForm) -> np.ndarray[Any, Any] | str:
    """Return the ids of a label, or the line that refuses it."""
    path.write_bytes(content)
    try:
        return read_label(path, form, "own.yaml")
    except UserError as error:
        assert "\n" not in str(error)
        return str(error)


def _check_image(path: Path, content: bytes) -> None:
    check_image(path, content, path, (4, 3))


@pytest.mark.parametrize(
    ("order", "photometric", "kind"), list(itertools.product("<>", (0, 1), (1, 2, 4, *TYPES)))
)
def test_a_label_of_one_band_has_the_stored_ids_or_is_refused(
    order: str, photometric: int, kind: int | str, tmp_path: Path
) -> None:
    ids, bits = IDS, None
    if isinstance(kind, int):
        ids, bits = IDS % (1 << kind), kind
    else:
        ids = (IDS + 250 * (kind[1] > "1")).astype(kind)  # an id above 255
    content = encode_tiff(ids, photometric, order=order, bits=bits)
    read = _label(tmp_path / "a.tif", content, "ids")
    if photometric == WHITE_IS_ZERO or kind in ("i1", "f8") or (order, kind) == (">", "u4"):
        assert isinstance(read, str)
    else:
        np.testing.assert_array_equal(read, ids)


@pytest.mark.parametrize("order", "<>")
def test_a_label_of_colours_or_a_palette_is_read(order: str, tmp_path: Path) -> None:
    packed = RGB.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    for pixels, extra in ((RGB, ()), (RGBA, ()), (RGBA, (1,)), (RGBA, (2,))):
        content = encode_tiff(pixels, RGB_COLOURS, order=order, extra=extra)
        np.testing.assert_array_equal(_label(tmp_path / "a.tif", content, "colors"), packed)
    for bits in (4, 8):
        content = encode_tiff(IDS, INDEXED, order=order, bits=bits, palette=PALETTE[: 3 << bits])
        np.testing.assert_array_equal(_label(tmp_path / "a.tif", content, "palette"), IDS)


REFUSED_LABELS = {
    "16-bit RGB": (encode_tiff(RGB.astype("u2") * 257, RGB_COLOURS), "colors", "has mode 16-bit RGB"),
    "RGB and infrared": (encode_tiff(RGBA, RGB_COLOURS, extra=(0,)), "colors", "RGB with 4 bands"),
    "two bands": (encode_tiff(RGBA[..., :2], 1, extra=(0,)), "ids", "has mode L with 2 bands"),
    "YCbCr": (encode_tiff(RGB, YCBCR), "colors", "has mode YCbCr"),
    "Lab": (encode_tiff(RGB, LAB), "colors", "has mode LAB"),
    "CMYK": (encode_tiff(RGBA, CMYK), "colors", "has mode CMYK"),
    "white is zero": (encode_tiff(IDS, WHITE_IS_ZERO), "ids", "has mode inverted L, which"),
    "signed": (encode_tiff(IDS.astype("i1"), 1), "ids", "has mode signed L, which"),
    "turned": (encode_tiff(IDS, 1, orientation=3), "ids", "has an EXIF orientation"),
    "negative": (encode_tiff(IDS.astype("i2") - 1, 1), "ids", "has values of int32 from -1 to 10"),
    "no data": (encode_tiff(IDS * np.float32(np.nan), 1), "ids", "has values of float32 from nan"),
    "rare": (encode_tiff(IDS.astype("f8"), 1), "ids", "has mode float64 L, which"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_LABELS)
def test_a_label_that_would_have_other_ids_is_refused(case: str, tmp_path: Path) -> None:
    content, form, message = REFUSED_LABELS[case]
    refused = _label(tmp_path / "a.tif", content, form)
    assert isinstance(refused, str)
    assert message in refused


def test_a_label_in_a_tiff_of_jpeg_is_refused(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(content := io.BytesIO(), "TIFF", compression="jpeg")
    assert "is a lossy TIFF file" in str(_label(tmp_path / "a.tif", content.getvalue(), "colors"))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("pixels", "photometric", "shown"),
    [
        (IDS, BLACK_IS_ZERO, np.stack([IDS] * 3, -1)),
        (IDS, WHITE_IS_ZERO, np.stack([255 - IDS] * 3, -1)),
        (IDS, INDEXED, np.stack([255 - IDS] * 3, -1)),
        (RGB, RGB_COLOURS, RGB),
        (RGBA, RGB_COLOURS, RGB),
        (RGBA, CMYK, np.zeros_like(RGB)),
    ],
)
def test_an_image_of_8_bits_is_read_as_shown(
    order: str,
    pixels: np.ndarray[Any, Any],
    photometric: int,
    shown: np.ndarray[Any, Any],
    tmp_path: Path,
) -> None:
    palette = PALETTE if photometric == INDEXED else ()
    content = encode_tiff(pixels, photometric, order=order, palette=palette)
    _check_image(tmp_path / "a.tif", content)
    np.testing.assert_array_equal(decode(tmp_path / "a.tif", content)[..., ::-1], shown)


REFUSED_IMAGES = {
    "inverted I;16": (IDS.astype("u2"), WHITE_IS_ZERO, ()),
    "RGB with 4 bands": (RGBA, RGB_COLOURS, (0,)),
    "L with 2 bands": (RGBA[..., :2], BLACK_IS_ZERO, (0,)),
    "float32 RGB with 4 bands": (RGBA.astype("f4"), RGB_COLOURS, (0,)),
    "YCbCr": (RGB, YCBCR, ()),
    "LAB": (RGB, LAB, ()),
}


@pytest.mark.parametrize("mode", REFUSED_IMAGES)
def test_an_image_that_would_have_other_values_is_refused(mode: str, tmp_path: Path) -> None:
    pixels, photometric, extra = REFUSED_IMAGES[mode]
    content = encode_tiff(pixels, photometric, extra=extra)
    bands = re.search(r"\d+(?= bands)", mode)
    hint = f"Write `bands: {bands[0]}`" if bands else "Save it as RGB, in a TIFF"
    with pytest.raises(UserError, match=rf"has mode {mode}, images are .* {hint}"):
        _check_image(tmp_path / "a.tif", content)


@pytest.mark.parametrize("kind", ["u2", "f4"])
def test_bands_that_lie_in_planes_are_refused(kind: str, tmp_path: Path) -> None:
    content = encode_tiff(RGB.astype(kind), RGB_COLOURS, planes=True)
    with pytest.raises(UserError, match=r"RGB in planes, .* Write `bands: 3`"):
        _check_image(tmp_path / "a.tif", content)
    _check_image(tmp_path / "a.tif", encode_tiff(RGB, RGB_COLOURS, planes=True))


def test_a_turned_tiff_needs_a_label_that_is_turned(tmp_path: Path) -> None:
    content = encode_tiff(RGB, RGB_COLOURS, orientation=6)
    check_image(tmp_path / "a.tif", content, tmp_path / "a.png", (3, 4))
    with pytest.raises(UserError, match="turned as its EXIF orientation says"):
        check_image(tmp_path / "a.tif", content, tmp_path / "a.png", (4, 3))
    half = encode_tiff(RGB, RGB_COLOURS, orientation=3)
    with pytest.raises(UserError, match="the sizes do not show whether its label is turned"):
        check_image(tmp_path / "a.tif", half, tmp_path / "a.png", (4, 3))

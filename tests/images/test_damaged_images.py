"""Damage that a decoder only prints is an error that names the file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from isnet.errors import UserError
from isnet.images.decoder_messages import decoder_messages
from isnet.images.image_file import read_image
from isnet.inference.input_images import read_rgb

_FORMATS = {
    "JPEG": {"quality": 90},
    "PNG": {},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "WEBP": {"lossless": True},
}


def _encoded(form: str, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(cv2.resize(noise, (320, 240))).save(buffer, form, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def _damaged(content: bytes, how: str) -> bytes:
    middle = len(content) // 2
    if how == "cut":
        return content[:middle]
    return content[:middle] + bytes(300) + content[middle + 300 :]


TEN = [
    (form, how) for form in _FORMATS for how in ("cut", "zeros") if (form, how) != ("BMP", "zeros")
]
TEN += [("TIFF jpeg", "cut")]


@pytest.mark.parametrize(("form", "how"), TEN)
def test_damaged_pictures_are_named(
    form: str, how: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name, _, compression = form.partition(" ")
    options = {"compression": compression} if compression else _FORMATS[name]
    good, bad = tmp_path / "good", tmp_path / f"bad.{name.lower()}"
    good.write_bytes(_encoded(name, **options))
    assert read_image(good).shape == (240, 320, 3)
    bad.write_bytes(_damaged(good.read_bytes(), how))
    for read in (read_image, read_rgb):
        with pytest.raises(UserError, match=r"bad\.\w+: "):
            read(bad)
    assert "Corrupt" not in capfd.readouterr().err


def test_other_lines_on_stderr_are_kept(capfd: pytest.CaptureFixture[str]) -> None:
    with decoder_messages() as messages:
        os.write(2, b"Corrupt JPEG data: bad Huffman code\nof another thread\n")
    assert messages == ["Corrupt JPEG data: bad Huffman code"]
    assert capfd.readouterr().err == "of another thread\n"


def test_some_bytes_before_the_end_of_a_jpeg_are_no_damage(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As some cameras and programs write them; all pixels are right."""
    good, padded = tmp_path / "good.jpg", tmp_path / "padded.jpg"
    good.write_bytes(_encoded("JPEG", quality=90))
    padded.write_bytes(good.read_bytes()[:-2] + bytes(8) + b"\xff\xd9")
    assert np.array_equal(read_image(padded), read_image(good))
    padded.write_bytes(good.read_bytes()[:-2] + bytes(3000) + b"\xff\xd9")
    with pytest.raises(UserError, match="extraneous bytes"):
        read_image(padded)
    assert capfd.readouterr().err == ""

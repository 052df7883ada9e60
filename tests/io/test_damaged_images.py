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
from isnet.inference.input_images import read_rgb
from isnet.io.decoder_messages import decoder_messages
from isnet.io.image_file import read_image

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

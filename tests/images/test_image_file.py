"""Image files: headers, modes, damage."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isnet.errors import UserError
from isnet.images.image_file import (
    UnreadableImageError,
    read_file,
    read_header,
    read_image,
    read_train_ids,
)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def with_orientation(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return encoded(Image.new("RGB", (6, 4)), "JPEG", exif=tags)


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("L", "PNG", "L"),
        ("1", "PNG", "1-bit L"),
        ("I;16", "PNG", "I;16"),
        ("P", "PNG", "P"),
        ("RGBA", "PNG", "RGBA"),
        ("RGB", "JPEG", "RGB"),
        ("CMYK", "JPEG", "CMYK"),
        ("I;16", "TIFF", "I;16"),
    ],
)
def test_a_header_has_the_mode_that_is_stored(mode: str, kind: str, expected: str) -> None:
    header = read_header(Path("a"), encoded(Image.new(mode, (6, 4)), kind))
    assert (header.mode, header.container, header.size) == (expected, kind, (6, 4))
    assert header.has_alpha == (mode == "RGBA")
    assert not header.is_rotated


@pytest.mark.parametrize(("orientation", "shape"), [(1, (4, 6, 3)), (3, (4, 6, 3)), (6, (6, 4, 3))])
def test_an_image_is_read_in_its_exif_orientation(
    orientation: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    content = with_orientation(orientation)
    header = read_header(Path("a"), content)
    assert header.size == (6, 4)
    assert header.is_rotated == (orientation != 1)
    (tmp_path / "a.jpg").write_bytes(content)
    assert read_image(tmp_path / "a.jpg").shape == shape


def test_an_image_is_read_as_bgr(tmp_path: Path) -> None:
    Image.new("RGB", (2, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == [[[3, 2, 1], [3, 2, 1]]]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<!doctype html>", "a web page"),
        (b"no image", "no image, or a damaged one"),
        (b"", "no image, or a damaged one"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(UserError, match=f"a.png: cannot be read: {why}"):
        read_header(Path("a.png"), content)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    for name, why in {"pipe": "not a file", "none": "No such file", "empty": "empty"}.items():
        with pytest.raises(UserError, match=f"{name}: cannot be read: {why}"):
            read_file(tmp_path / name)


def test_an_error_reaches_the_parent_of_a_worker_process() -> None:
    error = UnreadableImageError(Path("a.png"), "empty")
    received = pickle.loads(pickle.dumps(error))
    assert str(received) == str(error)
    assert received.why == "empty"


@pytest.mark.parametrize("mode", ["RGB", "I;16"])
def test_train_ids_are_8_bits_of_one_channel(mode: str, tmp_path: Path) -> None:
    ids = np.arange(6, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(ids).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_train_ids(tmp_path / "a.png"), ids)
    Image.new(mode, (3, 2)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"b\.png: is not an 8-bit label image of one channel"):
        read_train_ids(tmp_path / "b.png")

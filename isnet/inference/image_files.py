"""Finds and decodes image files of users, with the decoding of mmseg's `LoadImageFromFile`."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from isnet.errors import UserError

__all__ = [
    "SUFFIXES",
    "ImageFile",
    "RgbImage",
    "find_images",
    "image_tensor",
    "printable",
    "read_image",
]

RgbImage = NDArray[np.uint8]
"""`(H, W, 3)`, RGB."""

SUFFIXES = {
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm",
    ".tif", ".tiff", ".webp",
}  # fmt: skip
"""Files that are taken from folders; a file given by its path may have any name."""

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of the limit
_MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pillow's limit: a small file may claim more pixels than fit in memory."""


@dataclass(frozen=True)
class ImageFile:
    """An image file, and the `name` of its results: a path without extension below the output."""

    path: Path
    name: str


def find_images(inputs: Sequence[Path], output: Path) -> tuple[list[ImageFile], int]:
    """Return the images among the given files and below the given folders, in the order of inputs
    and paths, and the number of other files in the folders.

    Hidden files, `output`, and folders behind links are skipped. Names are unique: paths below the
    folder, or file names; with more of their folders where two files have the same name; with the
    extension where only that differs.

    Raises:
        UserError: `output` is one of the folders.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    others = 0
    output = output.resolve()
    for given in inputs:
        if not given.is_dir():
            found.setdefault(_absolute(given), (given, Path(given.name)))
            continue
        if given.resolve() == output:
            raise UserError(
                "is the folder of the images", where=str(output), hint="Name another --output"
            )
        for path in _files_below(given, output):
            if path.suffix.lower() not in SUFFIXES:
                others += 1
                continue
            below = path.relative_to(given)
            name = below if len(inputs) == 1 else Path(given.resolve().name) / below
            found.setdefault(_absolute(path), (path, name))
    return _unique_names(found), others


def _absolute(path: Path) -> Path:
    """Return the path without `..`; links are not resolved."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _files_below(folder: Path, output: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() != output
        )
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _unique_names(found: dict[Path, tuple[Path, Path]]) -> list[ImageFile]:
    names = [name for _, name in found.values()]
    if len(set(names)) < len(names):
        common = os.path.commonpath([path.parent for path in found])
        names = [path.relative_to(common) for path in found]
    stems = [str(name.with_suffix("")) for name in names]
    times = Counter(stems)
    results = [
        stem if times[stem] == 1 else str(name) for stem, name in zip(stems, names, strict=True)
    ]
    if len(set(results)) < len(results):  # a.jpg, a.png and a.jpg.png
        results = [str(name) for name in names]
    paths = (path for path, _ in found.values())
    return [ImageFile(path, name) for path, name in zip(paths, results, strict=True)]


def read_image(path: Path) -> RgbImage:
    """Return an image file as `(H, W, 3)` uint8 RGB: EXIF orientation applied, the first of several
    frames, grey and palettes as RGB, 16 bits as 8, without transparency.

    Raises:
        UserError: the file is no image, damaged, or larger than Pillow allows.
    """
    content = _read_bytes(path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError:
        pixels = _MAX_PIXELS + 1
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise _refused(path, "not an image, or damaged") from None
    if pixels > _MAX_PIXELS:
        raise _refused(path, f"more than {_MAX_PIXELS / 1e6:.0f} million pixels")
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise _refused(path, "truncated, damaged, or in a format that cv2 does not read")
    return np.ascontiguousarray(decoded[:, :, ::-1], np.uint8)


def _read_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refused(path, "not a file")
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    if not content:
        raise _refused(path, "empty")
    return content


def _refused(path: Path, why: str) -> UserError:
    return UserError(why, where=printable(path))


def image_tensor(image: RgbImage) -> Tensor:
    """Return `(1, 3, H, W)` uint8 BGR, the input of mmseg's test-time augmentation."""
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1)))[None]


def printable(path: Path | str) -> str:
    """Return a path for messages, on one line, with unprintable characters escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in str(path)
    )

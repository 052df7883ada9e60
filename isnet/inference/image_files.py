"""RgbImage files that people name: found, and read as the evaluation reads images."""

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
from PIL import Image, UnidentifiedImageError

from isnet.errors import UserError

__all__ = ["SUFFIXES", "ImageFile", "find_images", "read_image", "shown"]

SUFFIXES = {
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm",
    ".tif", ".tiff", ".webp",
}  # fmt: skip
"""What is taken of a folder; a file that is named itself may be called as it likes."""

warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of half of what is refused
_MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Where Pillow stops too: a small file may unfold to more than any memory holds."""


@dataclass(frozen=True)
class ImageFile:
    """A file, and the `name` of what is made of it: a path without extension below the output."""

    path: Path
    name: str


def find_images(inputs: Sequence[Path], output: Path) -> tuple[list[ImageFile], int]:
    """Return the pictures among files and below folders, in the order of the inputs and their
    paths, and how many other files the folders hold.

    What is hidden, in `output`, or behind a link to a folder is passed over. Names are the paths
    below the one folder, or the files' own names. No two are the same: where two files have one
    name all keep their folders, and those that differ in their extension alone keep it.

    Raises:
        UserError: `output` is one of the folders.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    others = 0
    inside = output.resolve()
    for given in inputs:
        if not given.is_dir():
            found.setdefault(_absolute(given), (given, Path(given.name)))
            continue
        if given.resolve() == inside:
            raise UserError(
                "is the folder of the pictures", where=str(output), hint="Name another --output"
            )
        for path in _files_below(given, inside):
            if path.suffix.lower() not in SUFFIXES:
                others += 1
                continue
            below = path.relative_to(given)
            name = below if len(inputs) == 1 else Path(given.resolve().name) / below
            found.setdefault(_absolute(path), (path, name))
    return _named(found), others


def _absolute(path: Path) -> Path:
    """Return the same place for every way to write it; links stay links."""
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


def _named(found: dict[Path, tuple[Path, Path]]) -> list[ImageFile]:
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


def read_image(path: Path) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Return a picture `(H, W, 3)` uint8 RGB as mmseg's `LoadImageFromFile` reads it: turned as its
    EXIF orientation says, of several frames the first, grey and palettes as colours, 16 bits as 8,
    transparency dropped.

    Raises:
        UserError: it is no picture, damaged, or larger than Pillow allows.
    """
    content = _content(path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError:
        pixels = _MOST_PIXELS + 1
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise _refused(path, "no picture, or a damaged one") from None
    if pixels > _MOST_PIXELS:
        raise _refused(path, f"more than {_MOST_PIXELS / 1e6:.0f} million pixels")
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise _refused(path, "truncated, damaged, or of a kind that cv2 does not read")
    return np.ascontiguousarray(decoded[:, :, ::-1])


def _content(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _refused(path, "no file")
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    if not content:
        raise _refused(path, "empty")
    return content


def _refused(path: Path, why: str) -> UserError:
    return UserError(why, where=shown(path))


def shown(path: Path | str) -> str:
    """Return a path for one line: what cannot be printed is escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in str(path)
    )

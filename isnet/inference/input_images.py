"""Finds the image files that a user gives, names their results uniquely, and decodes them."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isnet.errors import UserError
from isnet.images.band_file import band_image_size
from isnet.images.image_file import (
    UnreadableImageError,
    check_mode,
    decode_image,
    read_file,
    read_header,
)
from isnet.images.image_folder import files_below, is_image
from isnet.images.pixel_format import PLAIN, PixelFormat, swap_colours
from isnet.images.tiff_windows import TiffWindows, open_windows
from isnet.machine import host_resources

RgbImage = NDArray[np.uint8]
"""`(H, W, 3)` RGB, or `(H, W, C)` with the C bands of the data set in their order."""
Picture = RgbImage | TiffWindows
"""An image that is indexed by rows and columns; its pixels may still be in their file."""
_COPIES = 3
"""Of an image while it is read: decoded, with swapped colours, and as bytes of the file."""


@dataclass(frozen=True)
class ImageFile:
    """An image file, and the unique name of its results.

    `name` is the path of the results in the output folder, without extension.
    """

    path: Path
    name: str


def find_images(inputs: Sequence[Path], output: Path | None = None) -> tuple[list[ImageFile], int]:
    """Find the images among the given files and below the given folders.

    Returns the images in the order of inputs and paths, and the number of other files in the
    folders. Hidden files and `output` are skipped.

    The name of an image is its path below the given folder, or its file name. If two images would
    have the same name, names start at the folder common to all images. Extensions are kept where
    only these differ.

    Raises:
        UserError: `output` is one of the folders.
    """
    found: dict[Path, tuple[Path, Path]] = {}
    others = 0
    skipped = output.resolve() if output else None
    for given in inputs:
        if not given.is_dir():
            found.setdefault(_absolute(given), (given, Path(given.name)))
            continue
        if output and given.resolve() == skipped:
            hint = "Name another --output"
            raise UserError("is the folder of the images", where=str(output), hint=hint)
        prefix = Path() if len(inputs) == 1 else Path(given.resolve().name)
        for path in files_below(given, skipped):
            if is_image(path):
                found.setdefault(_absolute(path), (path, prefix / path.relative_to(given)))
            else:
                others += 1
    return _unique_names(found), others


def _absolute(path: Path) -> Path:
    """Return the absolute path without `..`, without resolving links."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _unique_names(found: dict[Path, tuple[Path, Path]]) -> list[ImageFile]:
    names = [name for _, name in found.values()]
    if len(set(names)) < len(names):
        common = os.path.commonpath([path.parent for path in found])
        names = [path.relative_to(common) for path in found]
    stems = [str(name.with_suffix("")) for name in names]
    times = Counter(stems)
    pairs = zip(stems, names, strict=True)
    results = [stem if times[stem] == 1 else str(name) for stem, name in pairs]
    if len(set(results)) < len(results):  # a.jpg, a.png and a.jpg.png
        results = [str(name) for name in names]
    paths = (path for path, _ in found.values())
    return list(map(ImageFile, paths, results))


def read_rgb(path: Path, pixel_format: PixelFormat = PLAIN) -> RgbImage:
    """Read an image file as an `RgbImage` (see `isnet.images.image_file`).

    `pixel_format` is that of the weights.

    Raises:
        UserError: the file is no image, damaged, larger than Pillow allows, or of values that are
            not those of the training images.
    """
    with _printable_path(path):
        return decode_rgb(Path(printable(path)), read_file(path), pixel_format)


@contextlib.contextmanager
def _printable_path(path: Path) -> Iterator[None]:
    """Let errors of an image name its path in one line, without the advice for a data set."""
    try:
        yield
    except UnreadableImageError as error:
        raise UserError(error.why, where=printable(path)) from None


def open_picture(path: Path, pixel_format: PixelFormat, *, windows_above: float) -> Picture:
    """Read an image as `read_rgb` does, or open a larger TIFF for reading by windows.

    Raises the errors of `read_rgb`.
    """
    with _printable_path(path):
        windows = open_windows(path, pixel_format, above=windows_above)
    # Without a range, more than 8 bits become 8 as OpenCV does it.
    if windows is None or (windows.dtype != np.uint8 and not pixel_format.has_range):
        return read_rgb(path, pixel_format)
    return windows


def decode_rgb(path: Path, content: bytes, pixel_format: PixelFormat) -> RgbImage:
    """Decode the content of an image file as `read_rgb` does, with the same errors for `path`."""
    if pixel_format.bands is None:
        header = read_header(path, content)
        check_mode(path, header, has_range=pixel_format.has_range)
        size = header.size
    else:
        size = band_image_size(path, content)
    if _COPIES * pixel_format.channels * size[0] * size[1] > host_resources.free_memory_bytes():
        what = f"{size[1]}x{size[0]} pixels do not fit in the free memory"
        hint = "Save it as a TIFF of tiles without alpha, which `isnet predict` reads by windows"
        raise UserError(what, where=str(path), hint=hint)
    return np.ascontiguousarray(swap_colours(decode_image(path, content, pixel_format)))


def image_tensor(image: NDArray[np.uint8]) -> Tensor:
    """Convert an image `(H, W, C)` to a tensor `(1, C, H, W)`."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def printable(path: Path | str) -> str:
    """Escape the unprintable characters of a path, so that it takes one line of a message."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in str(path)
    )

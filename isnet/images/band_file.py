"""Reads bands of TIFF files: any number, depth, arrangement and compression."""

import contextlib
import io
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from isnet.errors import UserError
from isnet.extras import EXTRAS, install_command, is_installed
from isnet.images.image_file import (
    BIG_TIFF,
    ORIENTATION,
    TIFF,
    UnreadableImageError,
    check_pixel_limit,
)
from isnet.images.pixel_format import Bands, in_memory_order
from isnet.images.value_range import Values
from isnet.io.message_text import one_line


def decode_bands(path: Path, content: bytes, bands: Bands) -> Values:
    """Decode chosen bands of a TIFF to `(H, W, C)` of the type that it stores.

    Three bands, red, green and blue, become BGR; others keep their order. The bands are the samples
    of the first image, interleaved or in planes, or else the images of equal size that follow it.

    Raises:
        UserError: a package is missing, the file is no TIFF, is damaged, has another number of
            bands, or values that are no real numbers.
    """
    with _open_content(path, content) as file:
        values = _read(path, file)
    check_bands(path, values.shape[2], bands)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "uif":
        raise UserError(f"has values of {values.dtype}", where=str(path), hint="Save real numbers")
    order = [number - 1 for number in in_memory_order(bands.numbers)]
    return np.ascontiguousarray(values[..., order])


def band_image_size(path: Path, content: bytes) -> tuple[int, int]:
    """Return width and height that a TIFF states, with the errors of `decode_bands`.

    Raises UserError if the image has more pixels than Pillow allows, too.
    """
    with _open_content(path, content) as file:
        size = file.pages.first.imagewidth, file.pages.first.imagelength
    check_pixel_limit(path, size)
    return size


def count_bands(path: Path, content: bytes) -> int:
    """Return the number of bands of a TIFF, with the errors of `decode_bands`."""
    with _open_content(path, content) as file:
        if _is_in_pages(file):
            return int(file.series[0].shape[0])
        return int(file.pages.first.samplesperpixel)


def check_bands(path: Path, found: int, bands: Bands) -> None:
    """Raise UserError if a file with `found` bands has not the number that `bands` needs."""
    wanted = bands.total or max(bands.numbers)
    if found < wanted or (bands.total and found > wanted):
        what = f"has {found} band{'s' * (found > 1)}, and `bands` is {bands}"
        raise UserError(what, where=str(path), hint="All images need the same bands")


@contextlib.contextmanager
def open_tiff(path: Path, source: Path | io.BytesIO) -> Iterator[Any]:
    """Open a TIFF, a file or its content, for the block; convert the errors of reading it.

    Messages name `path`. Yields a `tifffile.TiffFile`.

    Raises:
        UserError: a package is missing, or the file is damaged.
    """
    if missing := [name for name in EXTRAS["geotiff"] if not is_installed(name)]:
        hint = f"Run {install_command(missing[0])}"
        raise UserError(f"{missing[0]} is not installed, which reads bands", hint=hint)
    import tifffile  # an extra

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # odd tags are no news
    try:
        with tifffile.TiffFile(source) as file:
            yield file
    except UserError:
        raise
    except Exception as error:  # the codecs' errors have no common type
        what = f"damaged, or of an unknown kind ({one_line(error)})"
        raise UnreadableImageError(path, what) from None


def _open_content(path: Path, content: bytes) -> AbstractContextManager[Any]:
    if not content.startswith((*TIFF, *BIG_TIFF)):
        what = "is no TIFF, and `bands` are read from TIFF files alone"
        raise UserError(what, where=str(path), hint="Save it as the other images")
    return open_tiff(path, io.BytesIO(content))


def _read(path: Path, file: Any) -> Values:
    """Return all bands `(H, W, bands)` of an open file."""
    first = file.pages.first
    if first.tags.valueof(ORIENTATION, 1) != 1:
        hint = "Save it as it is shown"
        raise UserError("an orientation turns or mirrors it", where=str(path), hint=hint)
    in_pages = _is_in_pages(file)
    values: Values = (file.series[0] if in_pages else first).asarray(maxworkers=1)
    if values.ndim == 2:
        return values[..., None]
    is_interleaved = not in_pages and first.planarconfig == 1
    return values if is_interleaved else np.moveaxis(values, 0, -1)


def _is_in_pages(file: Any) -> bool:
    """Return whether bands are images of equal size, one behind the other."""
    return file.pages.first.samplesperpixel == 1 and len(file.series[0].shape) == 3

"""Reads windows of a TIFF that is too large to be decoded whole."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from isnet.extras import EXTRAS, is_installed
from isnet.images.band_file import check_bands, open_tiff
from isnet.images.image_file import BIG_TIFF, LOSSY, ORIENTATION, TIFF
from isnet.images.no_data import NO_DATA, parse_no_data
from isnet.images.pixel_format import COLOURS, PixelFormat, in_memory_order, swap_colours
from isnet.images.tiles import overlap
from isnet.images.value_range import Pixels, Values

_BLACK_IS_ZERO, _RGB = 1, 2
"""Photometric interpretations."""
_MAX_TILE = 2**24
"""Pixels of a tile or strip: larger ones are no windows."""


class TiffWindows:
    """A TIFF that is indexed as an array: `image[rows, columns]` decodes the tiles of this window.

    Windows are `(h, w, 3)` RGB, or `(h, w, C)` with the bands of the `pixel_format` in their order,
    uint8, equal to those of the whole image as `isnet.images.image_file` decodes it.

    Attributes:
        shape: height, width and channels of the image.
        dtype: type of the values in the file.
        no_data: GDAL's no-data value, if the file states one.
    """

    def __init__(self, path: Path, pixel_format: PixelFormat, page: Any) -> None:
        self._path, self._pixel_format = path, pixel_format
        self.shape = (page.imagelength, page.imagewidth, pixel_format.channels)
        self.dtype = page.dtype
        self.no_data = parse_no_data(page.tags.valueof(NO_DATA))

    def __getitem__(self, window: tuple[slice, slice]) -> Pixels:
        """Decode the window of the slices `(rows, columns)`.

        Raises:
            UserError: the file is damaged.
        """
        rows, columns = (
            slice(*part.indices(length)[:2])
            for part, length in zip(window, self.shape[:2], strict=True)
        )
        values = self._pixel_format.to_8_bits(self.values(rows, columns))
        return np.ascontiguousarray(swap_colours(values))

    def values(self, rows: slice, columns: slice) -> Values:
        """Decode a window `(h, w, C)` to the values of the file, as `decode_values` does.

        Raises:
            UserError: the file is damaged.
        """
        with open_tiff(self._path, self._path) as file:
            values = _read_window(file, rows, columns)
        bands = self._pixel_format.bands
        if bands is not None:
            numbers = bands.numbers
        else:
            numbers = (1, 2, 3) if values.shape[2] == COLOURS else (1, 1, 1)
        order = [number - 1 for number in in_memory_order(numbers)]
        return np.ascontiguousarray(values[..., order])


def open_windows(path: Path, pixel_format: PixelFormat, *, above: float) -> TiffWindows | None:
    """Return a TIFF of more than `above` pixels for reading by windows, None for other images.

    None too where windows cannot be read, or not with the same values as the whole image: pages,
    lossy compression, palettes, alpha, an orientation, huge strips. Or tifffile is not installed.

    Raises:
        UserError: the file is damaged, or has other bands than the `pixel_format`.
    """
    if not all(map(is_installed, EXTRAS["geotiff"])) or not _is_tiff(path):
        return None
    with open_tiff(path, path) as file:
        page = file.pages.first
        if page.imagelength * page.imagewidth <= above or not _has_windows(page):
            return None
        bands = pixel_format.bands
        if bands is not None:
            if len(file.series[0].shape) == COLOURS and page.samplesperpixel == 1:  # pages
                return None
            check_bands(path, page.samplesperpixel, bands)
        elif not _has_colours(page):
            return None
        return TiffWindows(path, pixel_format, page)


def _is_tiff(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in (*TIFF, *BIG_TIFF)
    except OSError:
        return False  # who reads it whole says why


def _has_windows(page: Any) -> bool:
    length, width = _tile_size(page)
    return (
        page.tags.valueof(ORIENTATION, 1) == 1
        and page.compression not in LOSSY
        and page.dtype is not None
        and page.dtype.kind in "uif"
        and length * width <= _MAX_TILE
    )


def _has_colours(page: Any) -> bool:
    """Return whether an image is grey or RGB, without alpha, of 8 bits or more, as OpenCV reads."""
    samples = {_BLACK_IS_ZERO: 1, _RGB: COLOURS}.get(page.photometric)
    has_bytes = page.bitspersample == 8 * page.dtype.itemsize
    is_known = page.dtype != np.float16  # refused in whole images
    return bool(has_bytes and is_known and page.samplesperpixel == samples)


def _tile_size(page: Any) -> tuple[int, int]:
    """Return height and width of the tiles, or of the strips."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _read_window(file: Any, rows: slice, columns: slice) -> Values:
    """Return all samples `(h, w, samples)` of a window of the first image."""
    page = file.pages.first
    shape = (rows.stop - rows.start, columns.stop - columns.start, page.samplesperpixel)
    values: Values = np.full(shape, page.nodata, page.dtype)  # of tiles that the file leaves out
    numbers = list(_tiles_of(page, rows, columns))
    offsets = [page.dataoffsets[number] for number in numbers]
    lengths = [page.databytecounts[number] for number in numbers]
    for data, number in file.filehandle.read_segments(offsets, lengths, indices=numbers):
        segment, (plane, _, top, left, _), _ = page.decode(data, number)
        if segment is None:
            continue
        tile = segment[0]
        samples = slice(plane, plane + tile.shape[2])
        ours_y, tile_y = overlap(rows, top, min(top + tile.shape[0], page.imagelength))
        ours_x, tile_x = overlap(columns, left, min(left + tile.shape[1], page.imagewidth))
        values[ours_y, ours_x, samples] = tile[tile_y, tile_x]
    return values


def _tiles_of(page: Any, rows: slice, columns: slice) -> Iterator[int]:
    """Yield the numbers of the tiles of all planes that a window touches."""
    length, width = _tile_size(page)
    down, across = math.ceil(page.imagelength / length), math.ceil(page.imagewidth / width)
    for plane in range(page.samplesperpixel if page.planarconfig == 2 else 1):
        for row in range(rows.start // length, math.ceil(rows.stop / length)):
            for column in range(columns.start // width, math.ceil(columns.stop / width)):
                yield (plane * down + row) * across + column

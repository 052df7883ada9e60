"""Reads packed stores: the decoded images and labels of one split in one memory-mapped file.

The file is a sequence of records: an image (uint8, BGR or bands), then its label (uint8 train ids),
both as tiles of 256x256 pixels, row by row, so that a crop touches few pages. A JSON index beside
it, written last, has the offset, size and CRC-32 of each record.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from isnet.errors import UserError
from isnet.images.pixel_format import COLOURS
from isnet.images.tiles import overlap

STORE_VERSION = 1
TILE = 256
"""Rows and columns of a tile, which takes 192 KiB of an image or 64 KiB of a label."""

Pixels = npt.NDArray[np.uint8]


def store_files(folder: Path, split: str) -> tuple[Path, Path]:
    """Return the paths of the pixel file and of the index of a packed split.

    The packed split is complete once the index exists.
    """
    return folder / f"{split}.tiles", folder / f"{split}.json"


class TileRecord(NamedTuple):
    """Place of an image and its label in a store: offset in bytes, size in pixels."""

    offset: int
    height: int
    width: int
    channels: int
    """Of the image: 2 or more."""

    @property
    def size(self) -> int:
        """Number of bytes of the image and its label."""
        return self.height * self.width * (self.channels + 1)

    @property
    def label_offset(self) -> int:
        """Offset in bytes of the label, which follows the image."""
        return self.offset + self.height * self.width * self.channels


def _tile_spans(length: int, wanted: slice) -> Iterator[tuple[int, int]]:
    """Yield start and stop, along one axis, of each tile that overlaps the slice `wanted`."""
    for start in range(wanted.start // TILE * TILE, wanted.stop, TILE):
        yield start, min(start + TILE, length)


def to_tiles(pixels: Pixels) -> bytes:
    """Divide `(H, W)` or `(H, W, C)` pixels into tiles; return the bytes of all tiles in order."""
    height, width = pixels.shape[:2]
    return b"".join(
        pixels[top:bottom, left:right].tobytes()
        for top, bottom in _tile_spans(height, slice(0, height))
        for left, right in _tile_spans(width, slice(0, width))
    )


class PackedStore:
    """A packed split that is opened for reading. Each process maps its file at the first read.

    `digest` is the expected digest of the manifest from which the store was packed.

    Raises:
        UserError: the store is missing or incomplete, or has another version or other data.
    """

    def __init__(self, folder: Path, split: str, digest: str) -> None:
        self._file, path = store_files(folder, split)
        try:
            index: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise _unusable(path, f"cannot be read ({error})") from None
        problem = None
        if index.get("version") != STORE_VERSION:
            problem = f"has version {index.get('version')}, not {STORE_VERSION}"
        elif index["manifest_digest"] != digest:
            problem = "was made from other data"
        elif not self._file.is_file() or self._file.stat().st_size != index["bytes"]:
            problem = "is not whole"
        if problem:
            raise _unusable(self._file, problem)
        channels = index.get("channels", COLOURS)  # left out of stores of colour images
        self.records = [
            TileRecord(offset, height, width, channels)
            for offset, height, width in index["records"]
        ]
        self.checksums: list[int] = index["crc32"]
        self._map: mmap.mmap | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_map": None}

    def __getitem__(self, number: int) -> PackedSample:
        """Return an image and its label as a `PackedSample`, without reading their pixels."""
        return PackedSample(self, self.records[number])

    def read(self, record: TileRecord, channels: int, rows: slice, columns: slice) -> Pixels:
        """Read a crop `(h, w, channels)` of an image (its channels) or of its label (1 channel)."""
        if self._map is None:
            with self._file.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        offset = record.label_offset if channels == 1 else record.offset
        shape = (rows.stop - rows.start, columns.stop - columns.start, channels)
        crop = np.empty(shape, np.uint8)
        spans = list(_tile_spans(record.width, columns))
        for top, bottom in _tile_spans(record.height, rows):
            band = offset + top * record.width * channels
            bytes_per_column = (bottom - top) * channels
            # Lets the kernel read the range at once, if it is not in memory.
            start = (band + bytes_per_column * spans[0][0]) // mmap.PAGESIZE * mmap.PAGESIZE
            stop = band + bytes_per_column * spans[-1][1]
            self._map.madvise(mmap.MADV_WILLNEED, start, stop - start)
            crop_rows, tile_rows = overlap(rows, top, bottom)
            for left, right in spans:
                crop_columns, tile_columns = overlap(columns, left, right)
                tile_shape = (bottom - top, right - left, channels)
                place = band + bytes_per_column * left
                tile = np.ndarray(tile_shape, np.uint8, self._map, place)
                crop[crop_rows, crop_columns] = tile[tile_rows, tile_columns]
        return crop


class PackedSample:
    """An image and its label in a packed store.

    Crops are given as slices of rows and columns, with start and stop inside the image.
    """

    def __init__(self, store: PackedStore, record: TileRecord) -> None:
        self._store, self._record = store, record
        self.height, self.width = record.height, record.width

    def image(self, rows: slice, columns: slice) -> Pixels:
        """Read a crop `(h, w, C)` of the image, uint8, BGR if there are three channels."""
        return self._store.read(self._record, self._record.channels, rows, columns)

    def label(self, rows: slice, columns: slice) -> Pixels:
        """Read a crop `(h, w)` of the label, uint8 train ids."""
        return self._store.read(self._record, 1, rows, columns)[..., 0]


def _unusable(path: Path, why: str) -> UserError:
    hint = f"Delete {path.parent} and run `isnet pack` for this data set"
    return UserError(f"the packed images {why}", where=str(path), hint=hint)

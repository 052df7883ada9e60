"""A split packed for reading at random: decoded images and labels in one memory-mapped file.

The file has no header: records lie one behind the other, an image (uint8, BGR) and then its label
(uint8 train ids). Each is a row of bands of 256 rows, each band a row of tiles of 256 columns, each
tile whole in itself: what a crop needs lies in few pieces. The index beside it, written last, says
where each record is, how large, and its CRC-32.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from isnet.errors import UserError

__all__ = ["STORE_VERSION", "Record", "Store", "index_file", "tiled", "tiles_file"]

STORE_VERSION = 1
TILE = 256
"""Rows and columns of a tile: 192 KiB of an image, 64 KiB of a label."""
IMAGE_CHANNELS = 3

Pixels = npt.NDArray[np.uint8]


def tiles_file(folder: Path, split: str) -> Path:
    """Return the place of a split's pixels."""
    return folder / f"{split}.tiles"


def index_file(folder: Path, split: str) -> Path:
    """Return the place of a split's index; once it is there, the split is whole."""
    return folder / f"{split}.json"


@dataclass(frozen=True)
class Record:
    """Where an image and its label are."""

    offset: int
    height: int
    width: int

    @property
    def size(self) -> int:
        """Bytes of both."""
        return self.height * self.width * (IMAGE_CHANNELS + 1)

    @property
    def label_offset(self) -> int:
        """Where the label begins."""
        return self.offset + self.height * self.width * IMAGE_CHANNELS


def _touched(length: int, wanted: slice) -> Iterator[tuple[int, int]]:
    """Return the spans that have something of `wanted`."""
    for start in range(wanted.start // TILE * TILE, wanted.stop, TILE):
        yield start, min(start + TILE, length)


def tiled(pixels: Pixels) -> bytes:
    """Return the bytes of `(H, W)` or `(H, W, C)` pixels, tile by tile."""
    height, width = pixels.shape[:2]
    return b"".join(
        pixels[top:bottom, left:right].tobytes()
        for top, bottom in _touched(height, slice(0, height))
        for left, right in _touched(width, slice(0, width))
    )


class Store:
    """One split, opened for reading; each process maps the file for itself, at its first read.

    Args:
        folder: holds the split's two files.
        split: `train` or `val`.
        digest: of the manifest that the store must have been made from.

    Raises:
        UserError: the store is missing, cut, of another version or of other data.
    """

    def __init__(self, folder: Path, split: str, digest: str) -> None:
        self._file = tiles_file(folder, split)
        index = _read_index(index_file(folder, split))
        wrong = None
        if index.get("version") != STORE_VERSION:
            wrong = f"has version {index.get('version')}, not {STORE_VERSION}"
        elif index["manifest_digest"] != digest:
            wrong = "was made from other data"
        elif not self._file.is_file() or self._file.stat().st_size != index["bytes"]:
            wrong = "is not whole"
        if wrong:
            raise _unusable(self._file, wrong)
        self.records = [Record(*numbers) for numbers in index["records"]]
        self.checksums: list[int] = index["crc32"]
        self._map: mmap.mmap | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_map": None}

    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            with self._file.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map

    def raw(self, number: int) -> memoryview:
        """Return the bytes of a record as they are stored."""
        record = self.records[number]
        return memoryview(self._mapped())[record.offset : record.offset + record.size]

    def image(self, number: int, rows: slice, columns: slice) -> Pixels:
        """Return a copy of a window of an image, `(h, w, 3)`, BGR."""
        record = self.records[number]
        return self._window(record, record.offset, IMAGE_CHANNELS, rows, columns)

    def label(self, number: int, rows: slice, columns: slice) -> Pixels:
        """Return a copy of a window of a label, `(h, w)`, train ids."""
        record = self.records[number]
        return self._window(record, record.label_offset, 1, rows, columns)[..., 0]

    def _window(
        self, record: Record, offset: int, channels: int, rows: slice, columns: slice
    ) -> Pixels:
        shape = (rows.stop - rows.start, columns.stop - columns.start, channels)
        window = np.empty(shape, np.uint8)
        mapped = self._mapped()
        spans = list(_touched(record.width, columns))
        for top, bottom in _touched(record.height, rows):
            height = bottom - top
            band = offset + top * record.width * channels
            row = height * channels  # bytes of a tile's column
            _announce(mapped, band + row * spans[0][0], row * (spans[-1][1] - spans[0][0]))
            for left, right in spans:
                shape = (height, right - left, channels)
                tile = np.ndarray(shape, np.uint8, mapped, band + row * left)
                _copy_common(tile, (top, left), window, (rows.start, columns.start))
        return window


def _announce(mapped: mmap.mmap, start: int, length: int) -> None:
    """Let the system read a band's tiles at once, where they are not in memory."""
    aligned = start // mmap.PAGESIZE * mmap.PAGESIZE
    mapped.madvise(mmap.MADV_WILLNEED, aligned, length + start - aligned)


def _copy_common(
    tile: Pixels, tile_origin: tuple[int, int], window: Pixels, window_origin: tuple[int, int]
) -> None:
    """Copy what both cover; origins are (row, column) in the image."""
    parts = []
    for axis in (0, 1):
        first = max(tile_origin[axis], window_origin[axis])
        last = min(tile_origin[axis] + tile.shape[axis], window_origin[axis] + window.shape[axis])
        parts.append((first, last))
    (top, bottom), (left, right) = parts
    window[
        top - window_origin[0] : bottom - window_origin[0],
        left - window_origin[1] : right - window_origin[1],
    ] = tile[
        top - tile_origin[0] : bottom - tile_origin[0],
        left - tile_origin[1] : right - tile_origin[1],
    ]


def _read_index(path: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _unusable(path, f"cannot be read ({error})") from None
    return index


def _unusable(path: Path, why: str) -> UserError:
    return UserError(
        f"the packed images {why}",
        where=str(path),
        hint=f"Delete {path.parent} and run `isnet pack` for this data set",
    )

"""Cuts an image and its train ids into tiles, each of them a pair of files."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from isnet.data.convert.label_lookup import count_train_ids
from isnet.data.convert.pair_facts import PairFacts, measure_image
from isnet.data.convert.png_codec import encode_grey
from isnet.data.convert.source_image import SourceImage
from isnet.images.pixel_format import Bands, in_memory_order
from isnet.images.tiles import divide_side
from isnet.images.value_range import Pixels, Values
from isnet.io.atomic_files import write_bytes
from isnet.io.disk_space import explain_write_errors

_PNG_TYPES = (np.uint8, np.uint16)
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


class Tile(PairFacts):
    """Facts about a tile and its label, and about their files.

    `image` and `label` are paths below the folders of a `TileWriter`.
    """

    image: str
    label: str
    image_bytes: int
    label_bytes: int


@dataclass(frozen=True)
class TileWriter:
    """Cuts images and train ids into tiles with sides of at most `most` pixels, and writes them.

    `images` and `labels` are the folders of the tiles, `bands` those of the images.
    """

    images: Path
    labels: Path
    bands: Bands | None
    most: int

    def cut(self, image: Path, source: SourceImage, train: Pixels, target: str) -> tuple[Tile, ...]:
        """Write the tiles of an image and of its train ids `(H, W)`.

        They have nearly the same size and do not overlap. Their files are named after `target`, the
        path of the whole label, and the tile's first row and column. They keep the values of the
        image; bands that are not read are zero. `image` is its path, for messages.

        Raises:
            UserError: a file cannot be written, or the image is damaged.
        """
        width, height = source.size
        name = PurePosixPath(target).with_suffix("")
        tiles = []
        for rows in divide_side(height, self.most):
            # A strip of a TIFF, as wide as the image, is decoded once.
            band = source.read(rows, slice(0, width))
            for columns in divide_side(width, self.most):
                values, label = band[:, columns], train[rows, columns]
                facts = measure_image(image, values, self.bands, source.no_data, is_tile=True)
                place = name / f"{name.name}_{rows.start:05}_{columns.start:05}"
                tiles.append(self._write(values, label, place, facts))
        return tuple(tiles)

    def _write(
        self, values: Values, label: Pixels, place: PurePosixPath, facts: dict[str, Any]
    ) -> Tile:
        suffix, encoded = _encode(values, self.bands)
        encoded_label = encode_grey(label)
        tile = Tile(
            **facts,
            image=f"{place}{suffix}",
            label=f"{place}.png",
            image_bytes=len(encoded),
            label_bytes=len(encoded_label),
            image_sha256=hashlib.sha256(encoded).hexdigest(),
            label_sha256=hashlib.sha256(encoded_label).hexdigest(),
            width=label.shape[1],
            height=label.shape[0],
            counts=count_train_ids(label),
        )
        for path, content in (
            (self.images / tile.image, encoded),
            (self.labels / tile.label, encoded_label),
        ):
            with explain_write_errors(path):
                write_bytes(path, content)
        return tile


def _encode(values: Values, bands: Bands | None) -> tuple[str, bytes]:
    """Return the suffix and the content of an image file with these values `(H, W, C)`."""
    if bands is not None:
        return ".tif", _encode_bands(values, bands)
    suffix = ".png" if values.dtype in _PNG_TYPES else ".tif"
    _, encoded = cv2.imencode(suffix, values, _FAST if suffix == ".png" else [])
    return suffix, encoded.tobytes()


def _encode_bands(values: Values, bands: Bands) -> bytes:
    """Return a TIFF with the bands in their places, so that the same description reads it."""
    import tifffile  # an extra, which has read the bands

    total = bands.total or max(bands.numbers)
    placed = np.zeros((*values.shape[:2], total), values.dtype)
    placed[..., [number - 1 for number in in_memory_order(bands.numbers)]] = values
    file = io.BytesIO()
    options = {"photometric": "minisblack", "planarconfig": "contig", "compression": "zlib"}
    tifffile.imwrite(file, placed, **options)
    return file.getvalue()

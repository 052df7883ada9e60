"""Measures an image while its label is converted: what the manifest and the warnings need."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from isnet.errors import UserError
from isnet.images.pixel_format import (
    Bands,
    in_memory_order,
    stretch_bands,
    swap_colours,
    to_picture,
)
from isnet.images.value_range import Pixels, ValueRange, Values, measure_range, stretch
from isnet.records.base_record import Record

_SIDE = 16


class BandValues(Record):
    """Range (None for 8 bits), mean and standard deviation of a band of an image, within the range.

    Only `pixels` count, the number of those that are neither NaN nor `no_data`, which is the number
    of those with the file's no-data value. NaN becomes 0 for the network, whatever the range.
    """

    range: ValueRange | None
    pixels: int
    mean: float
    std: float
    no_data: int = 0


class PairFacts(Record):
    """Facts about an image and its converted label.

    `counts` are the numbers of pixels by train id, without those that are zero.
    """

    image_sha256: str
    label_sha256: str
    width: int
    height: int
    counts: dict[int, int]
    fingerprint: str = ""
    """Perceptual hash of the image; empty in journals of earlier versions."""
    measured: ValueRange | None = None
    """Range of the image's values, if they have more than 8 bits."""
    bands: tuple[BandValues, ...] = ()
    """Values of each band that is read, if the data set has `bands`."""
    no_data: float | None = None
    """The no-data value that the file states, if the data set has `bands`."""
    is_blank: bool = False
    """Whether a tile has one value, or none that is finite."""

    @property
    def is_deep(self) -> bool:
        """Whether values have more than 8 bits."""
        return self.measured is not None or any(band.range for band in self.bands)


def measure_image(
    image: Path, values: Values, bands: Bands | None, no_data: float | None, *, is_tile: bool
) -> dict[str, Any]:
    """Measure the values of an image `(H, W, C)`; return the fields of `PairFacts` with the result.

    Pixels with the value `no_data` do not count. `is_tile`: whether the image is a part of a larger
    one, and may be without any finite value.

    Raises:
        UserError: the image, or one of its bands, has no finite value.
    """
    facts: dict[str, Any] = {}
    if bands is not None:
        given = in_memory_order(bands.ranges or (None,) * len(bands.numbers))
        measured = [
            _measure_band(image, values[..., channel], one, no_data, is_tile)
            for channel, one in enumerate(given)
        ]
        facts = {"bands": in_memory_order(tuple(measured)), "no_data": no_data}
        shown = to_picture(swap_colours(stretch_bands(values)))
    elif values.dtype == np.uint8:
        shown = values
    else:
        facts["measured"] = _range_of(image, values, is_tile=is_tile)
        shown = stretch(values, facts["measured"])
    is_blank = is_tile and bool(shown.min() == shown.max())
    return facts | {"fingerprint": _fingerprint(shown), "is_blank": is_blank}


def _fingerprint(pixels: Pixels) -> str:
    """Return 256 bits in hex: whether each of 16x17 areas is brighter than its right neighbour.

    Areas must differ by two levels, so that noise does not count. Few bits change with another
    quality or size.
    """
    small = cv2.resize(pixels, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.int16)
    return np.packbits(grey[:, :-1] > grey[:, 1:] + 1).tobytes().hex()


def _measure_band(
    image: Path, values: Values, given: ValueRange | None, no_data: float | None, is_tile: bool
) -> BandValues:
    # None equals no value. NaN as no-data equals none either, and is black as any NaN.
    is_data = values != no_data
    empty = values.size - int(np.count_nonzero(is_data))
    known = values[is_data & ~np.isnan(values)].astype(np.float64)
    found = None if values.dtype == np.uint8 else (0.0, 0.0)
    if empty == values.size or (is_tile and not known.size):  # such as a tile beside the scene
        return BandValues(range=found, pixels=0, mean=0, std=0, no_data=empty)
    if values.dtype != np.uint8:
        measured = _range_of(image, values, no_data, is_tile=is_tile)
        found = given or measured
    within = known if found is None else known.clip(*found)
    mean, std = float(within.mean()), float(within.std())
    return BandValues(range=found, pixels=len(known), mean=mean, std=std, no_data=empty)


def _range_of(
    image: Path, values: Values, no_data: float | None = None, *, is_tile: bool
) -> ValueRange:
    measured = measure_range(values, no_data)
    if measured is None and not is_tile:
        hint = "Replace it, or take it out of the data set"
        raise UserError("has no finite value", where=str(image), hint=hint)
    return measured or (0.0, 0.0)

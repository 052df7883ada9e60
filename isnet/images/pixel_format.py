"""How the image files of a data set become pixels: which bands are read, and in which range.

A network has three channels (red, green, blue), or as many as a data set has `bands`. Arrays of
three channels are BGR where mmseg takes them and RGB elsewhere. Those of another number keep the
order of the bands everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from isnet.images.value_range import Pixels, ValueRange, Values, stretch, to_8_bits

COLOURS = 3
"""Channels of a colour image."""


class Bands(BaseModel):
    """Bands of TIFF files that are the channels of the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: tuple[int, ...]
    """Numbers of the bands, counted from 1, in the order of the channels."""
    total: int | None = None
    """Bands that each file must have; None if files may have more than are read."""
    ranges: tuple[ValueRange, ...] | None = None
    """Values that become 0 and 255, of each channel; None for files of 8 bits."""
    mean: tuple[float, ...] = ()
    """Means of the train images after that, of each channel; NaN has become 0."""
    std: tuple[float, ...] = ()
    """Standard deviations of the same."""

    @classmethod
    def of(cls, wanted: int | tuple[int, ...]) -> Self:
        """Return the bands that a description names: their number, or a choice of them."""
        if isinstance(wanted, int):
            return cls(numbers=tuple(range(1, wanted + 1)), total=wanted)
        return cls(numbers=wanted)

    def __str__(self) -> str:
        """Return the bands as a description names them."""
        return str(list(self.numbers) if self.total is None else self.total)


@dataclass(frozen=True)
class PixelFormat:
    """How image files are read: `range` maps values of more than 8 bits, unless there are `bands`.

    Without both, 16 bits are divided by 256.
    """

    range: ValueRange | None = None
    bands: Bands | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Return the format in a manifest, or in another record with the keys `range`, `bands`."""
        low_high, bands = record.get("range"), record.get("bands")
        return cls(
            None if low_high is None else (low_high[0], low_high[1]),
            None if bands is None else Bands.model_validate(bands),
        )

    @property
    def channels(self) -> int:
        """Number of channels of an image."""
        return COLOURS if self.bands is None else len(self.bands.numbers)

    @property
    def ranges(self) -> tuple[ValueRange, ...]:
        """The ranges of the channels, or the one of all; empty for 8 bits."""
        if self.bands is not None:
            return self.bands.ranges or ()
        return () if self.range is None else (self.range,)

    @property
    def has_range(self) -> bool:
        """Whether values of any type are mapped to 8 bits."""
        return bool(self.ranges)

    def to_8_bits(self, values: Values) -> Pixels:
        """Map values to 0..255 by the range, which must be there for more than 8 bits.

        `values` are `(H, W)` or `(H, W, C)`, with bands `(H, W, bands)` in their order or, if they
        are three, BGR.
        """
        if values.dtype == np.uint8:
            return values
        if self.bands is None:
            return to_8_bits(values, self.ranges[0])
        ranges = in_memory_order(self.ranges)
        return np.dstack([to_8_bits(values[..., c], one) for c, one in enumerate(ranges)])


PLAIN = PixelFormat()
"""Colour images of 8 bits; 16 bits are divided by 256."""


def in_memory_order(channels: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return values of red, green and blue as BGR; those of another number stay as they are."""
    return channels[::-1] if len(channels) == COLOURS else channels


def swap_colours(image: Values) -> Values:
    """Turn BGR `(H, W, 3)` into RGB or back; other numbers of channels stay in their order."""
    return image[..., ::-1] if image.shape[2] == COLOURS else image


def to_picture(image: Pixels) -> Pixels:
    """Return the RGB `(H, W, 3)` that people are shown of an image `(H, W, C)`, RGB if C is 3.

    The first three bands are red, green and blue. Of two, the first is grey.
    """
    shown = image[..., :COLOURS] if image.shape[2] >= COLOURS else image[..., :1].repeat(3, axis=2)
    return np.ascontiguousarray(shown)  # as Pillow takes it


def stretch_bands(values: Values) -> Pixels:
    """Map each band of an image `(H, W, C)` to 0..255 by its own range, to show it."""
    return np.dstack([stretch(values[..., channel]) for channel in range(values.shape[2])])

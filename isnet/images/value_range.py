"""Maps values of more than 8 bits to 8 bits, by a range that is given or measured."""

from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[Any]
"""Values of an image as its file stores them, `(H, W)` or `(H, W, C)`, of any type."""
ValueRange = tuple[float, float]
"""The values that become 0 and 255. Values between are scaled and rounded, others are cut."""

_SHARES = (0.005, 0.995)
"""Quantiles of an image's values that are its measured range: single hot pixels do not count."""
_ROWS = 64
_MOST_PIXELS = 1 << 20
"""Rows and columns are left out evenly until an image has fewer pixels to measure."""


def to_8_bits(values: Values, value_range: ValueRange) -> Pixels:
    """Map values to 0..255. Those of 8 bits are returned as they are; NaN becomes 0."""
    if values.dtype == np.uint8:
        return values
    low, high = value_range
    result = np.empty(values.shape, np.uint8)
    # float64, so that equal values give equal levels whatever their type; by rows to save memory.
    for top in range(0, len(values), _ROWS):
        scaled = (values[top : top + _ROWS].astype(np.float64) - low) * (255 / (high - low))
        scaled = np.clip(np.rint(scaled), 0, 255)
        result[top : top + _ROWS] = np.nan_to_num(scaled, copy=False)
    return result


def show_limits(value_range: ValueRange) -> tuple[str, str]:
    """Return the limits of a range as text: small ranges far from zero have many digits."""
    low, high = value_range
    return f"{low:.10g}", f"{high:.10g}"


def measure_range(values: Values, no_data: float | None = None) -> ValueRange | None:
    """Return the range that the values of an image fill; None if none of them is finite.

    Values that equal `no_data` do not count.
    """
    step = 1
    while values[::step, ::step, ...].size > _MOST_PIXELS:
        step += 1
    sample = values[::step, ::step].ravel()
    finite = sample[np.isfinite(sample) & (sample != no_data)]
    if not finite.size:
        return None
    low, high = np.quantile(finite.astype(np.float64), _SHARES, method="nearest")
    return float(low), float(high)


def widest(ranges: list[ValueRange]) -> ValueRange:
    """Return the range that holds all of the given ones."""
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def stretch(values: Values, measured: ValueRange | None = None) -> Pixels:
    """Map an image's values to 0..255 by its own range, to show it where no other is known.

    `measured` is that range, if it is known.
    """
    if values.dtype == np.uint8:
        return values
    low, high = measured or measure_range(values) or (0.0, 1.0)
    return to_8_bits(values, (low, high if high > low else low + 1.0))

"""Reads GDAL's no-data value, which marks the pixels of a TIFF that have no data."""

import struct
from typing import Any

from isnet.images.image_file import BIG_TIFF, TIFF, read_tiff_tags

NO_DATA = 42113
"""GDAL's tag: a number as text, for all bands."""


def read_no_data(content: bytes) -> float | None:
    """Return the no-data value in the `content` of an image file; None if it states no number."""
    if not content.startswith((*TIFF, *BIG_TIFF)):
        return None
    try:
        return parse_no_data(read_tiff_tags(content).get(NO_DATA))
    except (OSError, SyntaxError, ValueError, struct.error):
        return None  # damage is found where the pixels are read


def parse_no_data(text: Any) -> float | None:
    """Return the number in the content of GDAL's tag; None if it has none."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return None

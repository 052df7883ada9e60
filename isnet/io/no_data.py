"""Reads GDAL's no-data value, which marks the pixels of a TIFF that have no data."""

import struct

from isnet.io.image_file import BIG_TIFF, TIFF, read_tiff_tags

_NO_DATA = 42113
"""GDAL's tag: a number as text, for all bands."""


def read_no_data(content: bytes) -> float | None:
    """Return the no-data value in the `content` of an image file; None if it states no number."""
    if not content.startswith((*TIFF, *BIG_TIFF)):
        return None
    try:
        return float(read_tiff_tags(content)[_NO_DATA])
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return None  # damage is found where the pixels are read

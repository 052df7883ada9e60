"""Reads GDAL's no-data value, which marks the pixels of a TIFF that have no data."""

import io
import struct

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from isnet.io.image_file import BIG_TIFF, TIFF

_NO_DATA = 42113
"""GDAL's tag: a number as text, for all bands."""


def read_no_data(content: bytes) -> float | None:
    """Return the no-data value in the `content` of an image file; None if it states no number."""
    if not content.startswith((*TIFF, *BIG_TIFF)):
        return None
    try:
        tags = ImageFileDirectory_v2(content[: 16 if content.startswith(BIG_TIFF) else 8])
        file = io.BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
        return float(tags[_NO_DATA])
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return None  # damage is found where the pixels are read

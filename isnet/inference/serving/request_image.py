"""An image of a request: text that anybody may have sent, decoded within limits."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "RefusedImageError", "bytes_of", "decoded"]

MAX_BYTES = 32 * 2**20
"""Of one image file."""
MAX_PIXELS = 25_000_000
"""Of one image; a file of a few bytes may claim billions."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_SHOWN = 40


class RefusedImageError(ValueError):
    """Why an image is not predicted, for whoever sent it."""


def bytes_of(text: Any) -> bytes:
    """Return the image file that `text` holds as base64, its header looked at: nothing is decoded.

    Raises:
        RefusedImageError: it is no base64, no image, or over a limit.
    """
    if not isinstance(text, str) or not text.strip():
        raise RefusedImageError("it is empty; send the image file as base64")
    # Four characters carry three bytes; what is too long is not even decoded.
    if len(text) > MAX_BYTES * 3 // 2:
        raise _too_large(len(text) * 3 // 4)
    try:
        # Line breaks are what `base64` without -w0 writes.
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        shown = text[:_SHOWN] + ("..." if len(text) > _SHOWN else "")
        raise RefusedImageError(
            f"{shown!r} is not base64, or was cut; paths and addresses are not opened here"
        ) from None
    if len(content) > MAX_BYTES:
        raise _too_large(len(content))
    _check_header(content)
    return content


def decoded(content: bytes) -> NDArray[np.uint8]:
    """Return what `bytes_of` gave as `(H, W, 3)` uint8 RGB, as training reads its images: turned
    as EXIF says, without transparency, in 8 bits.

    Raises:
        RefusedImageError: the file is cut or damaged.
    """
    try:
        with _opened(content) as image:
            image.load()  # cv2 fills what is missing with grey
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, SyntaxError, ValueError, EOFError, cv2.error):
        pixels = None
    if pixels is None:
        raise RefusedImageError("the image file is cut or damaged")
    return np.ascontiguousarray(pixels[:, :, ::-1], dtype=np.uint8)


def _check_header(content: bytes) -> None:
    try:
        with _opened(content) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise RefusedImageError(f"it has more than {MAX_PIXELS:,} pixels; shrink it") from None
    except (OSError, SyntaxError, ValueError, EOFError):
        raise RefusedImageError(f"it is no image, or a damaged one ({_formats()})") from None
    if width * height > MAX_PIXELS:
        raise RefusedImageError(
            f"it has {width} x {height} pixels; the limit is {MAX_PIXELS:,}; shrink it"
        )


def _opened(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many pixels: the limit here is lower
        return Image.open(io.BytesIO(content), formats=_FORMATS)


def _too_large(size: int) -> RefusedImageError:
    return RefusedImageError(
        f"it has {size / 2**20:.0f} MiB; the limit is {MAX_BYTES // 2**20} MiB; shrink it"
    )


def _formats() -> str:
    return ", ".join(_FORMATS)

"""Image files, decoded whole and as training decodes them: what it could not read stops here."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from isnet.data.convert.png_codec import SIGNATURE
from isnet.errors import UserError

__all__ = ["ImageFacts", "decode", "inspect_image", "open_header", "read_bytes", "unreadable"]

_ACCEPTED = ("RGB", "L", "P", "RGBA", "LA")
_ORIENTATION = 0x0112
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}


@dataclass(frozen=True)
class ImageFacts:
    """What training will see of an image."""

    width: int
    height: int
    """In pixels, turned as its EXIF orientation says."""
    has_alpha: bool
    is_turned: bool
    """An EXIF orientation turns or mirrors it."""
    stored: tuple[int, int]
    """Width and height without that."""


def inspect_image(path: Path, content: bytes) -> ImageFacts:
    """Decode an image once.

    Grey and palette images become RGB and transparency is dropped, as mmcv does it.

    Raises:
        UserError: it is damaged, or its mode is none that training reads without loss.
    """
    mode, _ = open_header(path, content)
    if mode not in _ACCEPTED:
        raise UserError(
            f"has mode {mode}, images are {', '.join(_ACCEPTED)} of 8 bits",
            where=str(path),
            hint="Save it as 8-bit RGB",
        )
    height, width = decode(path, content, cv2.IMREAD_COLOR).shape[:2]
    with Image.open(io.BytesIO(content)) as image:
        tags = Image.Exif()
        tags.load(image.info.get("exif", b""))
        is_turned = tags.get(_ORIENTATION, 1) in range(2, 9)
        stored = image.size
        has_alpha = "A" in mode or "transparency" in image.info
    return ImageFacts(width, height, has_alpha, is_turned, stored)


def open_header(path: Path, content: bytes) -> tuple[str, str]:
    """Return mode and container of an image file, such as L and PNG.

    Modes are Pillow's, but a PNG of 1, 2, 4 or 16 bits is told from one of 8: Pillow and cv2 scale
    its values.
    """
    if content.startswith(SIGNATURE) and content[12:16] == b"IHDR" and len(content) > 25:
        depth, color = content[24], content[25]
        mode = _PNG_MODES.get(color, "unknown")
        if depth == 8 or mode == "P":
            return mode, "PNG"
        return "I;16" if (depth, mode) == (16, "L") else f"{depth}-bit {mode}", "PNG"
    try:
        with Image.open(io.BytesIO(content)) as image:
            return image.mode, str(image.format)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        is_page = content[:64].lstrip().startswith(b"<")
        raise unreadable(path, "a web page" if is_page else "no image, or a damaged one") from None


def decode(path: Path, content: bytes, flags: int) -> npt.NDArray[Any]:
    """Decode an image file as training does it, by cv2.

    Raises:
        UserError: it is damaged. Pillow would pass wrong checksums.
    """
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise unreadable(path, "truncated or damaged")
    return pixels


def read_bytes(path: Path) -> bytes:
    """Read a file whole.

    Raises:
        UserError: it cannot be read, or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from None
    if not content:
        raise unreadable(path, "empty")
    return content


def unreadable(path: Path, why: str) -> UserError:
    """Return the line for a damaged file."""
    return UserError(f"cannot be read: {why}", where=str(path), hint="Replace the damaged file")

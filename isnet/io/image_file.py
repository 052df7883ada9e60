"""Reads, checks and decodes image files in the same way for all stages.

OpenCV decodes images as in mmseg's `LoadImageFromFile`. EXIF orientation is applied. Of several
frames the first is used. Grey and palette images become colour images, and 16 bits become 8.
Transparency is dropped.
"""

import io
import re
import stat
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from isnet.errors import UserError
from isnet.io.decoder_messages import decoder_messages

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)
"""Pillow's limit on pixels against decompression bombs, for images from unknown sources."""
warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # issued at half of the limit

_JPEG, _TIFF = b"\xff\xd8", (b"II*\x00", b"MM\x00*")
"""First bytes of files."""
_ORIENTATION = 0x0112
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLE_FORMAT = 256, 257, 258, 259, 262, 339
"""Tags of a TIFF."""
_LOSSY = (6, 7, 33003, 33005, 34712, 34892, 50001, 50002)
"""Values of `_COMPRESSION`: JPEG, JPEG 2000, lossy JPEG of DNG, WebP, JPEG XL."""
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}


class UnreadableImageError(UserError):
    """The error for an image file that cannot be read; its attribute `why` is the bare reason."""

    def __init__(self, path: Path, why: str) -> None:
        hint = "Replace the damaged file, and run `isnet convert` again"
        super().__init__(f"cannot be read: {why}", where=str(path), hint=hint)
        self.path, self.why = path, why

    def __reduce__(self) -> tuple[type[Self], tuple[Path, str]]:
        """Make the error picklable, because worker processes send it to their parent."""
        return type(self), (self.path, self.why)


@dataclass(frozen=True)
class ImageHeader:
    """Properties of an image that the header of its file states."""

    mode: str
    """Pillow's mode, such as `RGB`. 16-bit grey is `I;16`. For other PNG and TIFF files of 1, 2, 4
    or 16 bits the depth is added, such as `2-bit L`, because Pillow and OpenCV scale their values.
    A TIFF may also be `inverted L` (0 is white), `signed L`, or `RGB with 5 bands`.
    """
    container: str
    """File format, such as PNG; `lossy TIFF` if it has JPEG, JPEG 2000 or WebP inside."""
    size: tuple[int, int]
    """Width and height as stored, before EXIF orientation."""
    is_rotated: bool
    """Whether an EXIF orientation rotates or mirrors the image."""
    has_alpha: bool


def read_file(path: Path) -> bytes:
    """Read the bytes of a regular file.

    Raises:
        UserError: the file cannot be read, or is empty.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise unreadable(path, "not a file")
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from None
    if not content:
        raise unreadable(path, "empty")
    return content


def read_header(path: Path, content: bytes) -> ImageHeader:
    """Read the header of an image file from its `content`; messages name `path`.

    Raises:
        UserError: the file is no image, or has more pixels than Pillow allows.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode, container, size = image.mode, str(image.format), image.size
            exif = Image.Exif()
            exif.load(image.info.get("exif", b""))
            orientation = exif.get(_ORIENTATION, 1)
            if container == "PNG":
                mode = _png_mode(content)
            elif isinstance(image, TiffImageFile):
                tags = image.tag_v2
                mode, orientation = _tiff_mode(image), tags.get(_ORIENTATION, 1)
                container = "lossy TIFF" if tags.get(_COMPRESSION) in _LOSSY else "TIFF"
                size = tags[_WIDTH], tags[_HEIGHT]  # Pillow's are turned
            return ImageHeader(
                mode=mode,
                container=container,
                size=size,
                is_rotated=orientation in range(2, 9),
                has_alpha="A" in mode or "transparency" in image.info,
            )
    except Image.DecompressionBombError:
        raise unreadable(path, f"more than {MAX_PIXELS / 1e6:.0f} million pixels") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        why = "no image, or a damaged one"
        if content[:64].lstrip().startswith(b"<"):
            why = "a web page"
        elif content.startswith(_TIFF):
            why = "a TIFF of bands, depth or byte order that Pillow cannot read, or a damaged one"
        raise unreadable(path, why) from None


def _png_mode(content: bytes) -> str:
    depth, mode = content[24], _PNG_MODES.get(content[25], "unknown")
    if depth == 8 or mode == "P":
        return mode
    return "I;16" if (depth, mode) == (16, "L") else f"{depth}-bit {mode}"


def _tiff_mode(image: TiffImageFile) -> str:
    tags, mode = image.tag_v2, image.mode
    depths = tags.get(_BITS, (1,))
    if len(depths) > len(image.getbands()):  # Pillow drops the others
        return f"{mode} with {len(depths)} bands"
    if tags.get(_PHOTOMETRIC) == 0:
        return f"inverted {mode}"
    if mode == "L" and tags.get(_SAMPLE_FORMAT, (1,))[0] != 1:
        return f"signed {mode}"
    mode = {"1": "L", "I;16B": "I;16"}.get(mode, mode)
    depth = 8 if mode in ("P", "I", "F") or (mode, depths[0]) == ("I;16", 16) else depths[0]
    return mode if depth == 8 else f"{depth}-bit {mode}"


def decode(path: Path, content: bytes, flags: int = cv2.IMREAD_COLOR) -> npt.NDArray[Any]:
    """Decode the `content` of an image file with OpenCV, by default to `(H, W, 3)` uint8 BGR.

    Raises:
        UserError: the file is damaged. Unlike Pillow, OpenCV verifies the checksums of a PNG. A
            JPEG or TIFF is also damaged if its decoder only prints that. Formats without checksums
            (BMP, uncompressed TIFF, lossy WebP) may hide damage.
    """
    is_tiff = content.startswith(_TIFF)
    catcher: AbstractContextManager[list[str]] = nullcontext([])
    if is_tiff or content.startswith(_JPEG):
        catcher = decoder_messages()
    with catcher as messages:
        try:
            pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        except cv2.error:
            pixels = None
        if is_tiff and pixels is not None and (why := _damage_of_tiff(content)):
            messages.append(why)
    if messages:
        raise unreadable(path, f"damaged ({messages[0]})")
    if pixels is None:
        raise unreadable(path, "truncated, damaged, or of a kind that OpenCV does not read")
    return pixels


def _damage_of_tiff(content: bytes) -> str:
    """Return Pillow's error of a damaged TIFF, which OpenCV decodes in part without any."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        if re.search("decoder error|truncated|broken", text := str(error)):
            return text
    except Image.DecompressionBombError:
        pass  # the limit is applied where files come from unknown sources
    return ""


def read_image(path: Path) -> Pixels:
    """Read an image file as `(H, W, 3)` uint8 BGR.

    Raises:
        UserError: the file cannot be read.
    """
    return np.asarray(decode(path, read_file(path)), np.uint8)


def read_train_ids(path: Path) -> Pixels:
    """Read a converted label file as `(H, W)` uint8 train ids.

    Raises:
        UserError: the file cannot be read, or is not 8-bit grey.
    """
    labels = decode(path, read_file(path), cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise UserError(
            "is not an 8-bit label image of one channel",
            where=str(path),
            hint="Run `isnet convert` again",
        )
    return np.asarray(labels, np.uint8)


def unreadable(path: Path, why: str) -> UnreadableImageError:
    """Return, without raising, the error for an image file that cannot be read."""
    return UnreadableImageError(path, why)

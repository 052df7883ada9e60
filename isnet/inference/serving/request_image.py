"""Decodes the base64 image of a request, with limits on its bytes and pixels."""

import base64
import io
import warnings
from pathlib import Path
from typing import Any

from PIL import Image

from isnet.errors import UserError
from isnet.images.band_file import band_image_size
from isnet.images.image_file import TIFF, TooLargeImageError, UnreadableImageError, read_header
from isnet.images.pixel_format import PLAIN, PixelFormat
from isnet.inference.input_images import RgbImage, decode_rgb

MAX_BYTES = 32 * 2**20
"""Limit of an image file."""
MAX_PIXELS = 25_000_000
"""Limit of an image; a small file may claim billions."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_SHOWN = 40
_PLACE = Path("request")
"""Stands for the path of the image in messages."""


def decode_base64(text: Any, pixel_format: PixelFormat = PLAIN) -> bytes:
    """Decode base64 `text` to the content of an image file.

    Only the header of the image is checked; `pixel_format` is that of the weights. Raises UserError
    if the text is not base64 or not an image, or exceeds a limit.
    """
    if not isinstance(text, str) or not text.strip():
        raise UserError("it is empty; send the image file as base64")
    # Four characters are three bytes; a text that is too long is not decoded.
    if len(text) > MAX_BYTES * 3 // 2:
        raise _too_large(len(text) * 3 // 4)
    try:
        # `base64` without -w0 writes line breaks.
        content = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        shown = text[:_SHOWN] + ("..." if len(text) > _SHOWN else "")
        what = f"{shown!r} is not base64, or was cut"
        raise UserError(f"{what}; paths and addresses are not opened here") from None
    if len(content) > MAX_BYTES:
        raise _too_large(len(content))
    _check_header(content, pixel_format)
    return content


def decode_image(content: bytes, pixel_format: PixelFormat = PLAIN) -> RgbImage:
    """Decode an image file's content as `read_rgb` does, or raise UserError if it is damaged."""
    try:
        if pixel_format.bands is None and not content.startswith(TIFF):
            with _open(content) as image:
                image.load()  # cv2 would fill missing parts with grey
        return decode_rgb(_PLACE, content, pixel_format)
    except (OSError, SyntaxError, ValueError, EOFError, UnreadableImageError):
        raise UserError("the image file is cut or damaged") from None
    except UserError as error:
        raise _without_place(error) from None


def _check_header(content: bytes, pixel_format: PixelFormat) -> None:
    try:
        width, height = _size(content, pixel_format)
    except (Image.DecompressionBombError, TooLargeImageError):
        raise UserError(f"it has more than {MAX_PIXELS:,} pixels; shrink it") from None
    except (OSError, SyntaxError, ValueError, EOFError, UnreadableImageError):
        raise UserError(f"it is no image, or a damaged one ({', '.join(_FORMATS)})") from None
    except UserError as error:
        raise _without_place(error) from None
    if width * height > MAX_PIXELS:
        limit = f"the limit is {MAX_PIXELS:,}; shrink it"
        raise UserError(f"it has {width} x {height} pixels; {limit}")


def _size(content: bytes, pixel_format: PixelFormat) -> tuple[int, int]:
    if pixel_format.bands is not None:
        return band_image_size(_PLACE, content)
    if content.startswith(TIFF):  # Pillow does not know all of them
        return read_header(_PLACE, content).size
    with _open(content) as image:
        return image.size


def _open(content: bytes) -> Image.Image:
    with warnings.catch_warnings(action="ignore"):  # about many pixels: the limit here is lower
        return Image.open(io.BytesIO(content), formats=_FORMATS)


def _without_place(error: UserError) -> UserError:
    return UserError(str(error).removeprefix(f"{_PLACE}: "))


def _too_large(size: int) -> UserError:
    limit = f"the limit is {MAX_BYTES // 2**20} MiB"
    return UserError(f"it has {size / 2**20:.0f} MiB; {limit}; shrink it")

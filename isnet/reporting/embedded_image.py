"""Embeds images in an HTML page as data URIs, so that the page needs no other files."""

import base64
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

BUDGET = 4_300_000  # bytes of data URIs per page; the rest of a page is well below 1 MB
LONGEST = 640  # pixels of the longer side to which larger images are reduced


@dataclass(frozen=True)
class EmbeddedImage:
    """An image that is embedded in a page as a data URI.

    `kind` is image, truth, prediction, errors or confidence.
    """

    uri: str
    width: int
    height: int
    kind: str = ""
    label: str = ""
    run: str = ""


def reduce_image(image: Image.Image, longest: int = LONGEST, *, smooth: bool) -> None:
    """Reduce an image in place to sides of at most `longest` pixels. Labels need `smooth=False`."""
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    image.thumbnail((longest, longest), method, reducing_gap=3)


def encode_image(image: Image.Image, form: str, **jpeg: int) -> bytes:
    """Encode an image in the file format `form`. `jpeg` are Pillow's options for JPEG."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 82, **jpeg} if form == "JPEG" else {"optimize": True}
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def embed_image(
    data: bytes, form: str, size: tuple[int, int], kind: str = "", label: str = "", run: str = ""
) -> EmbeddedImage:
    """Embed the bytes of an image file as a data URI. `size` is (width, height)."""
    uri = f"data:image/{form.lower()};base64,{base64.b64encode(data).decode()}"
    return EmbeddedImage(uri, *size, kind, label, run)

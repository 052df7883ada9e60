"""Images embedded in a page as data URIs, so that the page opens from disk and can be sent."""

import base64
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

BUDGET = 4_300_000
"""Bytes of data URIs per page; the rest of a page is well below 1 MB."""

LONGEST = 640
"""Pixels of the longer side to which larger images are reduced."""


@dataclass(frozen=True)
class EmbeddedImage:
    """One image of a page; `kind`: image, truth, prediction, errors, confidence or labels."""

    kind: str
    label: str
    uri: str
    width: int
    height: int
    run: str = ""


def resized(image: Image.Image, longest: int, *, smooth: bool) -> Image.Image:
    """Reduce an image to a longer side of at most `longest`; labels must not be smoothed."""
    scale = longest / max(*image.size, longest)
    if scale == 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if smooth:
        return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
    return image.resize(size, Image.Resampling.NEAREST)


def encode_image(image: Image.Image, form: str, **jpeg: int) -> bytes:
    """Return an image file; `jpeg`: Pillow's options for the format JPEG."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 82, **jpeg} if form == "JPEG" else {"optimize": True}
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def embed_image(
    data: bytes, form: str, size: tuple[int, int], kind: str, label: str, run: str = ""
) -> EmbeddedImage:
    """Embed an image file of `size` (width, height)."""
    text = base64.b64encode(data).decode("ascii")
    return EmbeddedImage(kind, label, f"data:image/{form.lower()};base64,{text}", *size, run)

"""Images embedded in a page as data URIs, so that the page opens from disk and can be sent."""

import base64
import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

BUDGET = 4_300_000  # bytes of data URIs per page; the rest of a page is well below 1 MB
LONGEST = 640  # pixels of the longer side to which larger images are reduced


@dataclass(frozen=True)
class EmbeddedImage:
    """One image of a page; `kind`: image, truth, prediction, errors or confidence."""

    uri: str
    width: int
    height: int
    kind: str = ""
    label: str = ""
    run: str = ""


def reduce_image(image: Image.Image, longest: int = LONGEST, *, smooth: bool) -> None:
    """Reduce an image in place to sides of at most `longest`; labels must not be smoothed."""
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    image.thumbnail((longest, longest), method, reducing_gap=3)


def encode_image(image: Image.Image, form: str, **jpeg: int) -> bytes:
    """Return an image file; `jpeg`: Pillow's options for the format JPEG."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": 82, **jpeg} if form == "JPEG" else {"optimize": True}
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def embed_image(
    data: bytes, form: str, size: tuple[int, int], kind: str = "", label: str = "", run: str = ""
) -> EmbeddedImage:
    """Embed an image file of `size` (width, height)."""
    uri = f"data:image/{form.lower()};base64,{base64.b64encode(data).decode()}"
    return EmbeddedImage(uri, *size, kind, label, run)

"""Opens the images of a data set as a check, before their labels are converted."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from isnet.errors import UserError
from isnet.images.image_file import MAX_PIXELS, check_mode, decode_values, read_file, read_header
from isnet.images.no_data import read_no_data
from isnet.images.pixel_format import Bands, PixelFormat
from isnet.images.tiff_windows import open_windows
from isnet.images.value_range import Values

Size = tuple[int, int]
"""Width and height."""


class SourceImage(NamedTuple):
    """An opened image: `read` returns the values `(h, w, C)` of rows and columns, as displayed."""

    size: Size
    read: Callable[[slice, slice], Values]
    has_alpha: bool = False
    no_data: float | None = None
    """GDAL's no-data value, if bands are read."""
    sha256: str = ""
    """Of the file; empty if the image is read by windows."""


def prepare_decoders() -> None:
    """Set the decoders of a worker process that reads the user's own images."""
    Image.MAX_IMAGE_PIXELS = None  # aerial images among them are trusted


def open_source(
    image: Path, label: Path | str, label_size: Size, bands: Bands | None, *, by_windows: bool
) -> SourceImage:
    """Open an image whose label has the size `label_size`.

    `by_windows`: whether to read a TIFF of more than `MAX_PIXELS` by windows. Other images are
    decoded. Raises the errors of `check_image`.
    """
    if by_windows and (windows := open_windows(image, PixelFormat(bands=bands), above=MAX_PIXELS)):
        height, width = windows.shape[:2]
        _check_sizes(label, label_size, (width, height))
        return SourceImage((width, height), windows.values, no_data=windows.no_data)
    content = read_file(image)
    has_alpha, values = check_image(image, content, label, label_size, bands)
    return SourceImage(
        label_size,
        lambda rows, columns: values[rows, columns],
        has_alpha,
        read_no_data(content) if bands else None,
        hashlib.sha256(content).hexdigest(),
    )


def check_image(
    image: Path, content: bytes, label: Path | str, label_size: Size, bands: Bands | None = None
) -> tuple[bool, Values]:
    """Decode an image as a check; return whether it has transparency, and its values as displayed.

    Raises:
        UserError: the image is damaged, training cannot read its mode without loss, or its label
            has another size.
    """
    header = None if bands else read_header(image, content)
    if header is not None:
        check_mode(image, header, has_range=True)
    values = decode_values(image, content, bands)
    height, width = values.shape[:2]
    is_rotated = header is not None and header.is_rotated
    _check_sizes(label, label_size, (width, height), is_rotated=is_rotated)
    if header is not None and header.is_rotated and label_size == header.size:
        what = "the sizes do not show whether its label is turned too"
        what = f"an EXIF orientation turns or mirrors it, and {what}"
        hint = "Save it as it is shown, without the orientation, and its label to fit"
        raise UserError(what, where=str(image), hint=hint)
    return header is not None and header.has_alpha, values


def _check_sizes(
    label: Path | str, label_size: Size, size: Size, *, is_rotated: bool = False
) -> None:
    """Raise UserError if a label has another size than its image as it is shown."""
    if label_size == size:
        return
    shown, expected = ("x".join(map(str, one)) for one in (label_size, size))
    what, hint = f"the label is {shown}, its image {expected}", "Replace the damaged file"
    if is_rotated:
        what += ", turned as its EXIF orientation says"
        hint = "Make the label fit the image as it is shown"
    raise UserError(what, where=str(label), hint=hint)

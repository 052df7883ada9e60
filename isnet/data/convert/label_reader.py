"""Reads the raw ids of label files, which may be grey, palette, colour or MATLAB files."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from isnet.data.catalog.dataset_description import LabelForm
from isnet.data.convert.png_codec import store_uncompressed
from isnet.errors import UserError
from isnet.io.image_file import decode, read_file, read_header, unreadable

RawIds = npt.NDArray[Any]
"""Raw ids `(H, W)`: uint8, uint16 or, for colours (65536 R + 256 G + B), uint32."""

_MODES: dict[LabelForm, tuple[str, ...]] = {
    "palette": ("P",),
    "colors": ("RGB", "RGBA"),
    "ids": ("L", "I;16", "I;16B", "1", "1-bit L", "2-bit L", "4-bit L", "LA", "I", "F"),
}
"""Pillow's modes by the form that they usually are. `ids` may also be grey written as colours."""
FORM_OF: dict[str, LabelForm] = {mode: form for form, modes in _MODES.items() for mode in modes}
"""The `label_form` that reads a mode of image files."""
_LOSSLESS = ("PNG", "BMP", "TIFF", "GIF")
_AS_STORED = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_MATLAB_VARIABLE = "S"
_WITH_COLORS = " with colours"
_BITS_TAG, _PHOTOMETRIC_TAG = 258, 262
"""Tags of a TIFF."""


def read_label(path: Path, form: LabelForm, origin: str) -> RawIds:
    """Read the raw ids of a label file, as it stores them.

    Args:
        path: the label file.
        form: the expected format, see `DatasetDescription.label_form`.
        origin: the file that states this format, for messages.

    Raises:
        UserError: the label file cannot be read, or has another format.
    """
    content = read_file(path)
    if form == "mat":
        return _read_matlab(path, content)
    header = read_header(path, content)
    if header.container not in _LOSSLESS:
        what = f"is a {header.container} file, needed is {', '.join(_LOSSLESS)}"
        hint = f"Save the original as PNG: {header.container} can change ids at edges"
        raise UserError(what, where=str(path), hint=hint)
    if FORM_OF.get(header.mode) != form and not (form == "ids" and header.mode in _MODES["colors"]):
        raise _wrong_form(path, form, header.mode, origin)
    if header.container == "PNG":
        if header.mode in ("L", "I;16"):
            return decode(path, store_uncompressed(content), _AS_STORED)
        decode(path, content, cv2.IMREAD_UNCHANGED)  # Pillow does not verify checksums
    stored = _drop_alpha(path, *_read_with_pillow(path, content))
    return _pack_colors(stored) if form == "colors" else _read_ids(path, stored, origin)


def _wrong_form(path: Path, form: LabelForm, mode: str, origin: str) -> UserError:
    what = f"has mode {mode}, which `label_form: {form}` does not read"
    if other := FORM_OF.get(mode.removesuffix(_WITH_COLORS)):
        hint = f"If all labels are so, write `label_form: {other}` in {origin}"
        return UserError(what, where=str(path), hint=f"{hint}; else save all in one form")
    hint = f"Save ids as 8-bit or 16-bit grey, without alpha ({origin}: `label_form: ids`)"
    return UserError(what, where=str(path), hint=hint)


def _read_with_pillow(path: Path, content: bytes) -> tuple[npt.NDArray[Any], bool]:
    """Return the values `(H, W)` or `(H, W, C)` as stored, and whether the last one is alpha."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            _check_tiff(path, image)
            pixels, mode = np.asarray(image), image.mode
            if mode == "L" and (bits := _bits(image, content)) < 8:  # Pillow scales to 255
                pixels = pixels // (255 // (2**bits - 1))
    except (OSError, SyntaxError, ValueError):
        raise unreadable(path, "truncated or damaged") from None
    return pixels, mode.endswith("A")


def _bits(image: Image.Image, content: bytes) -> int:
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(_BITS_TAG, (1,))[0])
    return content[24] if image.format == "PNG" else 8


def _check_tiff(path: Path, image: Image.Image) -> None:
    """Raise UserError for a TIFF whose stored values Pillow changes."""
    if not isinstance(image, TiffImageFile):
        return
    inverts = image.mode in ("1", "L") and image.tag_v2.get(_PHOTOMETRIC_TAG) == 0
    if inverts:
        hint = "Save it as PNG, with the values that the classes have in the description"
        raise UserError("stores 0 as white (MinIsWhite)", where=str(path), hint=hint)
    if image.mode in ("RGB", "RGBA", "LA") and _bits(image, b"") > 8:
        what = f"has {_bits(image, b'')} bits per colour"
        raise UserError(what, where=str(path), hint="Save it with 8 bits per colour")


def _drop_alpha(path: Path, pixels: npt.NDArray[Any], has_alpha: bool) -> npt.NDArray[Any]:
    """Return values without alpha.

    Raises:
        UserError: a pixel is not opaque.
    """
    if not has_alpha:
        return pixels
    if transparent := np.count_nonzero(pixels[..., -1] != 255):
        what = f"has {transparent} pixels that are not opaque, whose class is not clear"
        hint = "Save it without alpha, with an id or a colour of their own for these pixels"
        raise UserError(what, where=str(path), hint=hint)
    return pixels[..., :-1]


def _pack_colors(pixels: npt.NDArray[Any]) -> RawIds:
    padded = np.empty((*pixels.shape[:2], 4), np.uint8)
    padded[..., :3] = pixels
    return padded.view(">u4")[..., 0] >> 8


def _read_ids(path: Path, pixels: npt.NDArray[Any], origin: str) -> RawIds:
    """Return ids as uint8 or uint16, from values of any type or grey written as colours.

    Raises:
        UserError: the channels differ, or a value is no id.
    """
    if pixels.ndim == 3:
        if (pixels != pixels[..., :1]).any():
            raise _wrong_form(path, "ids", f"RGB{_WITH_COLORS}", origin)
        pixels = pixels[..., 0]
    if pixels.dtype == np.bool_ or pixels.dtype.itemsize < 3:
        return np.ascontiguousarray(pixels, np.uint16 if pixels.dtype.itemsize == 2 else np.uint8)
    if not _are_ids(pixels):
        found = f"has values of {pixels.dtype} from {pixels.min():g} to {pixels.max():g}"
        what = f"{found}, needed are whole numbers from 0 to 65535"
        raise UserError(
            what, where=str(path), hint="Give pixels without a class an id of their own"
        )
    return _shrink(pixels)


def _shrink(ids: npt.NDArray[Any]) -> RawIds:
    return np.ascontiguousarray(ids, np.uint8 if ids.max(initial=0) < 256 else np.uint16)


def _read_matlab(path: Path, content: bytes) -> RawIds:
    from scipy.io import loadmat

    name = _MATLAB_VARIABLE
    try:
        variables: dict[str, Any] = loadmat(io.BytesIO(content), variable_names=[name])
    except Exception:  # scipy raises a dozen types for damaged files
        raise unreadable(path, "a damaged or no MATLAB file (up to version 7.2)") from None
    if name not in variables:
        hint = "Replace it: the ids are read from it"
        raise UserError(f"has no variable {name}", where=str(path), hint=hint)
    ids = variables[name]
    if ids.dtype.kind not in "uif" or ids.ndim != 2 or not _are_ids(ids):
        what = f"{name} is {'x'.join(map(str, ids.shape))} of {ids.dtype}"
        needed = "needed are whole numbers from 0 to 65535 in rows and columns"
        raise UserError(f"{what}, {needed}", where=str(path), hint="Replace the file")
    return _shrink(ids)


def _are_ids(ids: npt.NDArray[Any]) -> bool:
    return bool(ids.min(initial=0) >= 0 and ids.max(initial=0) <= 65535 and (ids % 1 == 0).all())

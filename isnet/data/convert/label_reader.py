"""Reads the raw ids of label files, which may be grey, palette, colour or MATLAB files."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from isnet.data.catalog.dataset_description import LabelForm
from isnet.data.convert.png_codec import store_uncompressed
from isnet.errors import UserError
from isnet.images.image_file import UnreadableImageError, decode, read_file, read_header

RawIds = npt.NDArray[Any]
"""Raw ids `(H, W)`: uint8, uint16 or, for colours (65536 R + 256 G + B), uint32."""

_MODES: dict[LabelForm, tuple[str, ...]] = {
    "palette": ("P",),
    "colors": ("RGB", "RGBA"),
    "ids": ("L", "I;16", "1", "1-bit L", "2-bit L", "4-bit L", "LA", "I", "F"),
}
"""Pillow's modes by the form that they usually are. `ids` may also be grey written as colours."""
FORM_OF: dict[str, LabelForm] = {mode: form for form, modes in _MODES.items() for mode in modes}
"""The `label_form` that reads a mode of image files."""
_LOSSLESS = ("PNG", "BMP", "TIFF", "GIF")
_AS_STORED = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_MATLAB_VARIABLE = "S"
_WITH_COLORS = " with colours"


def read_label(path: Path, form: LabelForm, origin: str, tolerance: int | None = None) -> RawIds:
    """Read the raw ids of a label file, as it stores them.

    `form` is the expected `DatasetDescription.label_form`, and `origin` the file that states it,
    for messages. With a `tolerance` (see `DatasetDescription.tolerance`), files may be lossy.

    Raises:
        UserError: the label file cannot be read, or has another format.
    """
    content = read_file(path)
    if form == "mat":
        return _read_matlab(path, content)
    header = read_header(path, content)
    if header.container not in _LOSSLESS and tolerance is None:
        what = f"is a {header.container} file, needed is {', '.join(_LOSSLESS)}"
        hint = f"{header.container} changes values at edges: save the original as PNG"
        if form != "palette":
            hint += f"; without one, write `tolerance: 64` in {origin} to take the nearest class"
        raise UserError(what, where=str(path), hint=hint)
    if header.is_rotated:
        what = "has an EXIF orientation, which turns or mirrors it"
        hint = "Save it as it is shown, without the orientation, to fit its image"
        raise UserError(what, where=str(path), hint=hint)
    if FORM_OF.get(header.mode) != form and not (form == "ids" and header.mode in _MODES["colors"]):
        raise _wrong_form(path, form, header.mode, origin)
    if header.container == "PNG" and header.mode in ("L", "I;16"):
        return decode(path, store_uncompressed(content), _AS_STORED)
    if header.container not in ("TIFF", "BMP", "GIF"):
        decode(path, content, cv2.IMREAD_UNCHANGED)  # Pillow verifies no checksums, hides warnings
    stored = _drop_alpha(path, *_read_with_pillow(path, content, header.mode))
    if form != "colors":
        return _read_ids(path, stored, origin, tolerance)
    padded = np.empty((*stored.shape[:2], 4), np.uint8)
    padded[..., :3] = stored
    return padded.view(">u4")[..., 0] >> 8


def _wrong_form(path: Path, form: LabelForm, mode: str, origin: str) -> UserError:
    what = f"has mode {mode}, which `label_form: {form}` does not read"
    hint = "Save ids as PNG of 8-bit or 16-bit grey, without alpha"
    if form == "colors":
        hint = "Save it as PNG of 8-bit RGB, without alpha"
    if other := FORM_OF.get(mode.removesuffix(_WITH_COLORS)):
        hint = f"If all labels are so, write `label_form: {other}` in {origin}"
        hint += "; else save all in one form"
    return UserError(what, where=str(path), hint=hint)


def _read_with_pillow(path: Path, content: bytes, mode: str) -> tuple[npt.NDArray[Any], bool]:
    """Return the stored values `(H, W)` or `(H, W, C)`, and whether the last one is alpha."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError):
        raise UnreadableImageError(path, "truncated or damaged") from None
    if mode in ("2-bit L", "4-bit L"):  # Pillow scales to 255
        pixels = pixels // (255 // (2 ** int(mode[0]) - 1))
    return pixels, mode.endswith("A")


def _drop_alpha(path: Path, pixels: npt.NDArray[Any], has_alpha: bool) -> npt.NDArray[Any]:
    """Return values without alpha; raise UserError if a pixel is not opaque."""
    if not has_alpha:
        return pixels
    if transparent := np.count_nonzero(pixels[..., -1] != 255):
        what = f"has {transparent} pixels that are not opaque, whose class is not clear"
        hint = "Save it without alpha, with an id or a colour of their own for these pixels"
        raise UserError(what, where=str(path), hint=hint)
    return pixels[..., :-1]


def _read_ids(path: Path, pixels: npt.NDArray[Any], origin: str, tolerance: int | None) -> RawIds:
    """Return ids as uint8 or uint16, from values of any type or grey written as colours.

    The channels of grey may differ by `tolerance`. Raises UserError if they differ by more, or if a
    value is no id.
    """
    if pixels.ndim == 3:
        if np.ptp(pixels, axis=-1).max(initial=0) > (tolerance or 0):
            raise _wrong_form(path, "ids", f"RGB{_WITH_COLORS}", origin)
        pixels = pixels[..., pixels.shape[-1] // 2]
    if pixels.dtype == np.bool_ or pixels.dtype.itemsize < 3:
        return np.ascontiguousarray(pixels, np.uint16 if pixels.dtype.itemsize == 2 else np.uint8)
    if not _are_ids(pixels):
        found = f"has values of {pixels.dtype} from {pixels.min():g} to {pixels.max():g}"
        what = f"{found}, needed are whole numbers from 0 to 65535"
        hint = "Give pixels without a class an id of their own"
        raise UserError(what, where=str(path), hint=hint)
    return _shrink(pixels)


def _shrink(ids: npt.NDArray[Any]) -> RawIds:
    return np.ascontiguousarray(ids, np.uint8 if ids.max(initial=0) < 256 else np.uint16)


def _read_matlab(path: Path, content: bytes) -> RawIds:
    from scipy.io import loadmat

    name = _MATLAB_VARIABLE
    try:
        variables: dict[str, Any] = loadmat(io.BytesIO(content), variable_names=[name])
    except Exception:  # scipy raises a dozen types for damaged files
        why = "a damaged or no MATLAB file (up to version 7.2)"
        raise UnreadableImageError(path, why) from None
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

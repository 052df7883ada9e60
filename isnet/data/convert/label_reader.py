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
from isnet.io.image_file import decode, read_file, read_header, unreadable

RawIds = npt.NDArray[Any]
"""Raw ids `(H, W)`: uint8, uint16 or, for colours (65536 R + 256 G + B), uint32."""

_MODES: dict[LabelForm, tuple[str, ...]] = {
    "ids": ("L", "I;16"),
    "palette": ("P",),
    "colors": ("RGB",),
}
FORM_OF: dict[str, LabelForm] = {mode: form for form, modes in _MODES.items() for mode in modes}
"""The `label_form` that reads a mode of image files."""
_LOSSLESS = ("PNG", "BMP", "TIFF")
_AS_STORED = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
_MATLAB_VARIABLE = "S"


def read_label(path: Path, form: LabelForm, origin: str) -> RawIds:
    """Read the raw ids of a label file.

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
        hint = "Save the original as PNG: JPEG changes ids at edges"
        raise UserError(what, where=str(path), hint=hint)
    if header.mode not in _MODES[form]:
        raise _wrong_form(path, form, header.mode, origin)
    if header.container != "PNG":
        return _read_with_pillow(path, content)
    if form == "ids":
        return decode(path, store_uncompressed(content), _AS_STORED)
    decode(path, content, cv2.IMREAD_UNCHANGED)  # Pillow does not verify checksums
    return _read_with_pillow(path, content)


def _wrong_form(path: Path, form: LabelForm, mode: str, origin: str) -> UserError:
    what = f"has mode {mode}, needed is {' or '.join(_MODES[form])} (`label_form: {form}`)"
    hint = f"Save ids as 8-bit or 16-bit grey, without alpha ({origin}: `label_form: ids`)"
    if mode in FORM_OF:
        hint = f"`label_form: {FORM_OF[mode]}` in {origin} would read it"
    return UserError(what, where=str(path), hint=hint)


def _read_with_pillow(path: Path, content: bytes) -> RawIds:
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode != "RGB":
                return np.asarray(image)
            padded = np.asarray(image.convert("RGBX"))
    except (OSError, SyntaxError, ValueError):
        raise unreadable(path, "truncated or damaged") from None
    return padded.view(">u4")[..., 0] >> 8


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
    return np.ascontiguousarray(ids, np.uint8 if ids.max(initial=0) < 256 else np.uint16)


def _are_ids(ids: npt.NDArray[Any]) -> bool:
    return bool(ids.min(initial=0) >= 0 and ids.max(initial=0) <= 65535 and (ids % 1 == 0).all())

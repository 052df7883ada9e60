"""A window of a resized image, computed without resizing the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from isnet.data.loading.sample_reader import Sample
from isnet.data.packed.packed_store import Pixels

__all__ = ["Window", "read_image", "read_label"]


@dataclass(frozen=True)
class Window:
    """`height` x `width` pixels at (`top`, `left`) of an image that is resized to `full`."""

    top: int
    left: int
    height: int
    width: int
    full: tuple[int, int]
    """Height and width."""


@lru_cache(maxsize=256)
def _nearest(source: int, target: int) -> npt.NDArray[np.int32]:
    """Return which of `source` pixels each of `target` pixels is: OpenCV says so itself."""
    row = np.arange(source, dtype=np.int32)[None]
    resized = cv2.resize(row, (target, 1), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized[0], np.int32)


def read_label(sample: Sample, window: Window) -> Pixels:
    """Return a window of the label `(h, w)`, bit by bit that of `cv2.resize` (nearest)."""
    rows = _nearest(sample.height, window.full[0])[window.top : window.top + window.height]
    columns = _nearest(sample.width, window.full[1])[window.left : window.left + window.width]
    first_row, first_column = int(rows[0]), int(columns[0])
    part = sample.label(
        slice(first_row, int(rows[-1]) + 1), slice(first_column, int(columns[-1]) + 1)
    )
    return np.take(np.take(part, rows - first_row, axis=0), columns - first_column, axis=1)


def read_image(sample: Sample, window: Window, *, mirrored: bool) -> Pixels:
    """Return a window of the image `(h, w, 3)`, within a grey level of `cv2.resize` (bilinear).

    OpenCV's `warpAffine` computes with floats since 4.11; before, with 1/32 of a pixel.
    """
    rows, y_scale, y_start = _reach(sample.height, window.full[0], window.top, window.height)
    columns, x_scale, x_start = _reach(sample.width, window.full[1], window.left, window.width)
    part = sample.image(rows, columns)
    if mirrored:
        x_start, x_scale = x_start + x_scale * (window.width - 1), -x_scale
    matrix = np.array([[x_scale, 0, x_start], [0, y_scale, y_start]])
    warped = cv2.warpAffine(
        part,
        matrix,
        (window.width, window.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


def _reach(source: int, target: int, start: int, length: int) -> tuple[slice, float, float]:
    """Along one axis: the source pixels that a window needs, the step from one of its pixels to the
    next, and where its first one is, counted from the first of those source pixels.
    """
    step = source / target
    first = (start + 0.5) * step - 0.5
    last = first + (length - 1) * step
    begin = max(math.floor(first), 0)
    end = min(math.floor(last) + 2, source)
    return slice(begin, end), step, first - begin

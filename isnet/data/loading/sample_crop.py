"""Crops of a resized image and its label, read from image files or a packed store.

Only the crop is resized, not the whole image.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations

from isnet.data.packed.packed_store import PackedSample, Pixels


class DecodedSample:
    """An image and its label, decoded by mmseg's transforms; the interface of `PackedSample`."""

    def __init__(self, record: dict[str, Any]) -> None:
        loaded = LoadAnnotations()(LoadImageFromFile()(record | {"seg_fields": []}))
        self._image: Pixels = loaded["img"]
        self._label: Pixels = loaded["gt_seg_map"].astype(np.uint8, copy=False)
        self.height, self.width = self._image.shape[:2]

    def image(self, rows: slice, columns: slice) -> Pixels:
        """Return a crop of the image `(h, w, 3)` uint8, BGR."""
        return self._image[rows, columns]

    def label(self, rows: slice, columns: slice) -> Pixels:
        """Return a crop of the label `(h, w)` uint8, train ids."""
        return self._label[rows, columns]


Sample = DecodedSample | PackedSample


def open_sample(record: dict[str, Any]) -> Sample:
    """Open the sample of a data set's record: its `packed` entry, else its files."""
    packed: PackedSample | None = record.get("packed")
    return packed or DecodedSample(record)


@dataclass(frozen=True)
class ResizedCrop:
    """`height` x `width` pixels at (`top`, `left`) of an image resized to `resized`."""

    top: int
    left: int
    height: int
    width: int
    resized: tuple[int, int]
    """Height and width."""


@lru_cache(maxsize=256)
def _nearest(source: int, target: int) -> npt.NDArray[np.int32]:
    """Return the index among `source` pixels of each of `target` pixels, as OpenCV rounds it."""
    row = np.arange(source, dtype=np.int32)[None]
    resized = cv2.resize(row, (target, 1), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized[0], np.int32)


def read_label_crop(sample: Sample, crop: ResizedCrop) -> Pixels:
    """Return a crop of the label `(h, w)`, equal to that of `cv2.resize` (nearest)."""
    rows = _nearest(sample.height, crop.resized[0])[crop.top : crop.top + crop.height]
    columns = _nearest(sample.width, crop.resized[1])[crop.left : crop.left + crop.width]
    top, left = int(rows[0]), int(columns[0])
    part = sample.label(slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1))
    return np.take(np.take(part, rows - top, axis=0), columns - left, axis=1)


def read_image_crop(sample: Sample, crop: ResizedCrop, *, flipped: bool) -> Pixels:
    """Return a crop of the image `(h, w, 3)`, within one grey level of `cv2.resize` (bilinear).

    OpenCV's `warpAffine` interpolates in floating point since 4.11, before in 1/32 of a pixel.
    """
    rows, y_scale, y_start = _source_range(sample.height, crop.resized[0], crop.top, crop.height)
    columns, x_scale, x_start = _source_range(sample.width, crop.resized[1], crop.left, crop.width)
    part = sample.image(rows, columns)
    if flipped:
        x_start, x_scale = x_start + x_scale * (crop.width - 1), -x_scale
    warped = cv2.warpAffine(
        part,
        np.array([[x_scale, 0, x_start], [0, y_scale, y_start]]),
        (crop.width, crop.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.uint8)


def _source_range(source: int, target: int, start: int, length: int) -> tuple[slice, float, float]:
    """Return, along one axis: the source pixels of a crop, the step in source pixels between two
    pixels of the crop, and the position of its first pixel relative to the slice.
    """
    step = source / target
    first = (start + 0.5) * step - 0.5
    last = first + (length - 1) * step
    begin = max(math.floor(first), 0)
    end = min(math.floor(last) + 2, source)
    return slice(begin, end), step, first - begin

"""Transform that loads, randomly resizes, crops and flips an image and its label in one step.

Images and labels come from files or a packed store. Only the crop is resized.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
import numpy.typing as npt
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS

from isnet.data.packed.packed_store import PackedSample, Pixels
from isnet.images.image_file import read_image, read_train_ids
from isnet.images.pixel_format import PLAIN

_TRIES = 10
_WARPED = 4
"""Channels that `cv2.warpAffine` takes at once."""


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image by `isnet.images.image_file`, in place of mmseg's LoadImageFromFile.

    Images of 8 bits are the same. A `ManifestDataset` puts this transform in place of mmseg's, and
    gives the `pixel_format` of bands and of more bits.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `img` `(H, W, C)` uint8, BGR if C is 3, and its shape, as mmseg's transform does."""
        image = read_image(Path(results["img_path"]), results.get("pixel_format", PLAIN))
        results["img"] = image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadTrainIds(BaseTransform):
    """Read a converted label, in place of mmseg's LoadAnnotations in a `ManifestDataset`.

    That reads by Pillow, which refuses more than 179 million pixels.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `gt_seg_map` `(H, W)` uint8, as mmseg's transform does."""
        results["gt_seg_map"] = read_train_ids(Path(results["seg_map_path"]))
        results["seg_fields"].append("gt_seg_map")
        return results


class _DecodedSample:
    """An image and its label, decoded from their files, with the methods of `PackedSample`."""

    def __init__(self, record: dict[str, Any]) -> None:
        load_label = LoadTrainIds() if "pixel_format" in record else LoadAnnotations()
        loaded = load_label(LoadImage()(record | {"seg_fields": []}))
        self._image: Pixels = loaded["img"]
        self._label: Pixels = loaded["gt_seg_map"].astype(np.uint8, copy=False)
        self.height, self.width = self._image.shape[:2]

    def image(self, rows: slice, columns: slice) -> Pixels:
        return self._image[rows, columns]

    def label(self, rows: slice, columns: slice) -> Pixels:
        return self._label[rows, columns]


_Sample = _DecodedSample | PackedSample


@dataclass(frozen=True)
class _ResizedCrop:
    """Position and size of a crop in an image that is first resized to `resized`."""

    top: int
    left: int
    height: int
    width: int
    resized: tuple[int, int]
    """Height and width of the whole resized image."""


# RandomWindow is the former name, an alias until 0.2.
@TRANSFORMS.register_module(name=["LoadRandomCrop", "RandomWindow"])
@dataclass(eq=False)
class LoadRandomCrop(BaseTransform):
    """Load an image and its label, and resize, crop and flip both at random.

    Replaces mmseg's LoadImageFromFile, LoadAnnotations, RandomResize, RandomCrop and RandomFlip,
    and draws the same random numbers in the same order: the same seed gives the same crop, with
    equal labels and with images within one grey level. From a packed store, only the pixels that
    the crop needs are read. The records of any mmseg data set are accepted.
    """

    scale: tuple[int, int]
    """Size (width, height) of the resized image at ratio 1."""
    ratio_range: tuple[float, float]
    """Smallest and largest ratio by which `scale` is multiplied."""
    crop_size: tuple[int, int]
    """Size (height, width) of the crop. The crop of a smaller image is smaller."""
    keep_ratio: bool = True
    """Whether to keep the aspect ratio of the image, which is then resized to fit into `scale`."""
    cat_max_ratio: float = 1.0
    """Largest share of one class in a crop. Another crop is drawn instead, up to 10 times."""
    flip: float = 0.5
    """Probability of a horizontal flip, which also swaps the classes in `flip_pairs`."""
    ignore_index: int = 255
    """Label of unlabelled pixels."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `img` `(h, w, C)` uint8, BGR if C is 3, and `gt_seg_map` `(h, w)` uint8."""
        sample: _Sample = results.get("packed") or _DecodedSample(results)
        resized = self._draw_size(sample)
        for _ in range(1 + _TRIES):
            crop = self._draw_crop(resized)
            label = _read_label(sample, crop)
            if self.cat_max_ratio >= 1 or self._is_varied(label):
                break
        flipped = bool(np.random.random_sample() < self.flip)
        if flipped:
            label = _flip_label(label, results.get("flip_pairs", ()))
        results["img"] = _read_image(sample, crop, flipped)
        results["gt_seg_map"] = label
        results["seg_fields"] = ["gt_seg_map"]
        results["ori_shape"] = (sample.height, sample.width)
        results["img_shape"] = (crop.height, crop.width)
        results["scale_factor"] = (resized[1] / sample.width, resized[0] / sample.height)
        results["flip"] = flipped
        results["flip_direction"] = "horizontal" if flipped else None
        return results

    def _draw_size(self, sample: _Sample) -> tuple[int, int]:
        low, high = self.ratio_range
        ratio = np.random.random_sample() * (high - low) + low
        width, height = int(self.scale[0] * ratio), int(self.scale[1] * ratio)
        if self.keep_ratio:
            width, height = mmcv.rescale_size((sample.width, sample.height), (width, height))
        return height, width

    def _draw_crop(self, resized: tuple[int, int]) -> _ResizedCrop:
        pairs = list(zip(resized, self.crop_size, strict=True))
        top, left = (int(np.random.randint(0, max(size - crop, 0) + 1)) for size, crop in pairs)
        height, width = map(min, pairs)
        return _ResizedCrop(top, left, height, width, resized)

    def _is_varied(self, label: Pixels) -> bool:
        counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
        counts[self.ignore_index] = 0
        is_mixed = np.count_nonzero(counts) > 1
        return bool(is_mixed and counts.max() / counts.sum(dtype=np.float64) < self.cat_max_ratio)


def _flip_label(label: Pixels, flip_pairs: tuple[tuple[int, int], ...]) -> Pixels:
    flipped = cv2.flip(label, 1)
    if flip_pairs:
        swap = np.arange(256, dtype=np.uint8)
        for left, right in flip_pairs:
            swap[left], swap[right] = right, left
        flipped = cv2.LUT(flipped, swap)
    return np.asarray(flipped, np.uint8)


@lru_cache(maxsize=256)
def _nearest(source: int, target: int) -> npt.NDArray[np.int32]:
    """Return the source index of each target pixel in OpenCV's nearest-neighbour resizing."""
    row = np.arange(source, dtype=np.int32)[None]
    resized = cv2.resize(row, (target, 1), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized[0], np.int32)


def _read_label(sample: _Sample, crop: _ResizedCrop) -> Pixels:
    """Read a crop `(h, w)` of the resized label, equal to that of `cv2.resize` (nearest)."""
    rows = _nearest(sample.height, crop.resized[0])[crop.top : crop.top + crop.height]
    columns = _nearest(sample.width, crop.resized[1])[crop.left : crop.left + crop.width]
    top, left = int(rows[0]), int(columns[0])
    part = sample.label(slice(top, int(rows[-1]) + 1), slice(left, int(columns[-1]) + 1))
    return np.take(np.take(part, rows - top, axis=0), columns - left, axis=1)


def _read_image(sample: _Sample, crop: _ResizedCrop, flipped: bool) -> Pixels:
    """Read a crop `(h, w, C)` of the resized image, within a grey level of bilinear `cv2.resize`.

    OpenCV's `warpAffine` interpolates in floating point since version 4.11.
    """
    rows, y_scale, y_start = _source_range(sample.height, crop.resized[0], crop.top, crop.height)
    columns, x_scale, x_start = _source_range(sample.width, crop.resized[1], crop.left, crop.width)
    part = sample.image(rows, columns)
    if flipped:
        x_start, x_scale = x_start + x_scale * (crop.width - 1), -x_scale
    matrix = np.array([[x_scale, 0, x_start], [0, y_scale, y_start]])
    warped = [
        cv2.warpAffine(
            np.ascontiguousarray(part[..., first : first + _WARPED]),
            matrix,
            (crop.width, crop.height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for first in range(0, part.shape[2], _WARPED)
    ]
    return np.asarray(warped[0] if len(warped) == 1 else np.dstack(warped), np.uint8)


def _source_range(source: int, target: int, start: int, length: int) -> tuple[slice, float, float]:
    """Return where the pixels of a resized crop are in the source image, along one axis.

    `source` and `target` are the lengths of the source and the resized image, `start` and `length`
    the crop in the resized image, in pixels. Returns the slice of source pixels that the crop
    needs, the distance between neighbouring pixels of the crop in source pixels, and the position
    of the crop's first pixel relative to the slice.
    """
    step = source / target
    first = (start + 0.5) * step - 0.5
    last = first + (length - 1) * step
    begin = max(math.floor(first), 0)
    end = min(math.floor(last) + 2, source)
    return slice(begin, end), step, first - begin

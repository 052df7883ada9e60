"""Transform that loads, resizes, crops and flips an image with its label in one step."""

from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from isnet.data.loading.sample_crop import (
    ResizedCrop,
    Sample,
    open_sample,
    read_image_crop,
    read_label_crop,
)
from isnet.data.packed.packed_store import Pixels

_TRIES = 10


# RandomWindow is the former name, an alias until 0.2.
@TRANSFORMS.register_module(name=["LoadRandomCrop", "RandomWindow"])
class LoadRandomCrop(BaseTransform):
    """mmseg's LoadImageFromFile, LoadAnnotations, RandomResize, RandomCrop and RandomFlip in one.

    It draws the same random numbers in the same order, so the same seed gives the same crop: equal
    labels, images within one grey level. From a packed store it reads only the pixels that the
    crop needs. It accepts the records of any mmseg data set.

    Args:
        scale: (width, height) that ratio 1 resizes to.
        ratio_range: smallest and largest ratio.
        crop_size: (height, width); a smaller image stays smaller.
        keep_ratio: keep the aspect ratio of the image, within `scale`.
        cat_max_ratio: a crop in which one class has a larger share is drawn again, up to 10 times.
        flip: probability of a horizontal flip, which also swaps the data set's `flip_pairs`.
        ignore_index: label of unlabelled pixels.
    """

    def __init__(
        self,
        scale: tuple[int, int],
        ratio_range: tuple[float, float],
        crop_size: tuple[int, int],
        keep_ratio: bool = True,
        cat_max_ratio: float = 1.0,
        flip: float = 0.5,
        ignore_index: int = 255,
    ) -> None:
        self.scale = scale
        self.ratio_range = ratio_range
        self.crop_size = crop_size
        self.keep_ratio = keep_ratio
        self.cat_max_ratio = cat_max_ratio
        self.flip = flip
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `img` `(h, w, 3)` uint8 BGR and `gt_seg_map` `(h, w)` uint8 to `results`."""
        sample = open_sample(results)
        resized = self._draw_size(sample)
        crop = self._draw_crop(resized)
        label = read_label_crop(sample, crop)
        if self.cat_max_ratio < 1:
            for _ in range(_TRIES):
                if self._is_varied(label):
                    break
                crop = self._draw_crop(resized)
                label = read_label_crop(sample, crop)
        flipped = bool(np.random.random_sample() < self.flip)
        if flipped:
            label = _flip_label(label, results.get("flip_pairs", ()))
        results["img"] = read_image_crop(sample, crop, flipped=flipped)
        results["gt_seg_map"] = label
        results["seg_fields"] = ["gt_seg_map"]
        results["ori_shape"] = (sample.height, sample.width)
        results["img_shape"] = (crop.height, crop.width)
        results["scale_factor"] = (resized[1] / sample.width, resized[0] / sample.height)
        results["flip"] = flipped
        results["flip_direction"] = "horizontal" if flipped else None
        return results

    def _draw_size(self, sample: Sample) -> tuple[int, int]:
        """Draw a ratio; return the (height, width) that it resizes the image to."""
        low, high = self.ratio_range
        ratio = np.random.random_sample() * (high - low) + low
        width, height = int(self.scale[0] * ratio), int(self.scale[1] * ratio)
        if self.keep_ratio:
            width, height = mmcv.rescale_size((sample.width, sample.height), (width, height))
        return height, width

    def _draw_crop(self, resized: tuple[int, int]) -> ResizedCrop:
        top, left = (
            int(np.random.randint(0, max(size - crop, 0) + 1))
            for size, crop in zip(resized, self.crop_size, strict=True)
        )
        height, width = (min(pair) for pair in zip(resized, self.crop_size, strict=True))
        return ResizedCrop(top, left, height, width, resized)

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

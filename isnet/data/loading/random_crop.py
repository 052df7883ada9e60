"""The transform that reads, resizes, crops and mirrors at once."""

from __future__ import annotations

from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from isnet.data.loading.resized_crop import Window, read_image, read_label
from isnet.data.loading.sample_reader import Sample, open_sample
from isnet.data.packed.packed_store import Pixels

__all__ = ["RandomWindow"]

_TRIES = 10


@TRANSFORMS.register_module()
class RandomWindow(BaseTransform):
    """mmseg's LoadImageFromFile, LoadAnnotations, RandomResize, RandomCrop and RandomFlip in one.

    It draws the same random numbers in the same order, so the same seed gives the same window:
    labels equal to the bit, images within a grey level. Of an image in a store it reads only what
    the window needs. It takes records of any mmseg data set.

    Args:
        scale: (width, height) that ratio 1 resizes to.
        ratio_range: smallest and largest ratio.
        keep_ratio: whether the image's own proportions are kept, within `scale`.
        crop_size: (height, width); a smaller image stays smaller.
        cat_max_ratio: a crop in which one class has a larger share is drawn again, up to 10 times.
        flip: probability of a mirror image; it swaps the data set's left and right classes.
        ignore_index: label that is no class.
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
        full = self._resized(sample)
        window = self._drawn(full)
        label = read_label(sample, window)
        if self.cat_max_ratio < 1:
            for _ in range(_TRIES):
                if self._is_varied(label):
                    break
                window = self._drawn(full)
                label = read_label(sample, window)
        mirrored = bool(np.random.random_sample() < self.flip)
        if mirrored:
            label = _mirrored(label, results.get("flip_pairs", ()))
        results["img"] = read_image(sample, window, mirrored=mirrored)
        results["gt_seg_map"] = label
        results["seg_fields"] = ["gt_seg_map"]
        results["ori_shape"] = (sample.height, sample.width)
        results["img_shape"] = (window.height, window.width)
        results["scale_factor"] = (full[1] / sample.width, full[0] / sample.height)
        results["flip"] = mirrored
        results["flip_direction"] = "horizontal" if mirrored else None
        return results

    def _resized(self, sample: Sample) -> tuple[int, int]:
        """Draw a ratio; return the (height, width) that it resizes the image to."""
        low, high = self.ratio_range
        ratio = np.random.random_sample() * (high - low) + low
        width, height = int(self.scale[0] * ratio), int(self.scale[1] * ratio)
        if self.keep_ratio:
            width, height = mmcv.rescale_size((sample.width, sample.height), (width, height))
        return height, width

    def _drawn(self, full: tuple[int, int]) -> Window:
        top, left = (
            int(np.random.randint(0, max(size - crop, 0) + 1))
            for size, crop in zip(full, self.crop_size, strict=True)
        )
        height, width = (min(pair) for pair in zip(full, self.crop_size, strict=True))
        return Window(top, left, height, width, full)

    def _is_varied(self, label: Pixels) -> bool:
        counts = cv2.calcHist([label], [0], None, [256], [0, 256]).ravel()
        counts[self.ignore_index] = 0
        is_mixed = np.count_nonzero(counts) > 1
        return bool(is_mixed and counts.max() / counts.sum(dtype=np.float64) < self.cat_max_ratio)


def _mirrored(label: Pixels, flip_pairs: tuple[tuple[int, int], ...]) -> Pixels:
    mirrored = cv2.flip(label, 1)
    if flip_pairs:
        swap = np.arange(256, dtype=np.uint8)
        for left, right in flip_pairs:
            swap[left], swap[right] = right, left
        mirrored = cv2.LUT(mirrored, swap)
    return np.asarray(mirrored, np.uint8)

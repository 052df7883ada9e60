"""mmseg's `PhotoMetricDistortion` in two halves: drawn in a worker, done on the model's device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy import random
from numpy.typing import NDArray
from torch import Tensor

from isnet.data.loading.opencv_hsv import HUES, bgr_of_hsv, hsv_of_bgr

__all__ = ["Colours", "DrawColours", "distort", "distort_with_opencv", "distort_with_torch"]

_LEVELS = np.arange(256)


class Colours(NamedTuple):
    """What was drawn for one image, in the order in which the steps are taken.

    `saturation` (a factor) and `hue` (an addend, in steps of 2 degrees) are None where the step is
    not taken: 8-bit HSV alone, with a factor of 1 or an addend of 0, already changes pixels.
    """

    brightness: float = 0.0
    contrast_first: float = 1.0
    saturation: float | None = None
    hue: int | None = None
    contrast_last: float = 1.0


@TRANSFORMS.register_module()
class DrawColours(BaseTransform):
    """Draw what `PhotoMetricDistortion` would draw, and leave the pixels to `distort`.

    Same arguments, same numbers in the same order from numpy's global generator. Adds the key
    `colours`, a `Colours`; it has to be among the `meta_keys` of the packing transform. Transforms
    that pad come after it in a pipeline only if the padding may be distorted too.
    """

    def __init__(
        self,
        brightness_delta: int = 32,
        contrast_range: tuple[float, float] = (0.5, 1.5),
        saturation_range: tuple[float, float] = (0.5, 1.5),
        hue_delta: int = 18,
    ) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_lower, self.contrast_upper = contrast_range
        self.saturation_lower, self.saturation_upper = saturation_range
        self.hue_delta = hue_delta

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add `colours` to `results`."""
        delta = self.brightness_delta
        brightness = random.uniform(-delta, delta) if random.randint(2) else 0.0
        contrast_is_first = random.randint(2) == 1
        contrast_first = self._contrast() if contrast_is_first else 1.0
        saturation = self._saturation() if random.randint(2) else None
        hue = random.randint(-self.hue_delta, self.hue_delta) if random.randint(2) else None
        contrast_last = 1.0 if contrast_is_first else self._contrast()
        results["colours"] = Colours(brightness, contrast_first, saturation, hue, contrast_last)
        return results

    def _contrast(self) -> float:
        taken = random.randint(2)
        return random.uniform(self.contrast_lower, self.contrast_upper) if taken else 1.0

    def _saturation(self) -> float:
        return random.uniform(self.saturation_lower, self.saturation_upper)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness_delta={self.brightness_delta}, "
            f"contrast_range=({self.contrast_lower}, {self.contrast_upper}), "
            f"saturation_range=({self.saturation_lower}, {self.saturation_upper}), "
            f"hue_delta={self.hue_delta})"
        )


def distort(images: Tensor, draws: Sequence[Colours]) -> Tensor:
    """Return `images` `(B, 3, H, W)` uint8 BGR in the drawn colours: float32, whole numbers 0..255.

    `draws` has one entry per image. The result is what `PhotoMetricDistortion` makes of each image;
    its memory format is that of `images`. On the CPU OpenCV does the work, faster than torch, and
    faster than mmseg does; elsewhere torch does, with OpenCV's arithmetic, and nothing waits for
    the device. Raises `ValueError` for other types, shapes or numbers of draws.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images are uint8 (B, 3, H, W), not {images.dtype} {tuple(images.shape)}")
    if len(draws) != len(images):
        raise ValueError(f"{len(images)} images, {len(draws)} draws")
    if images.device.type == "cpu":
        return distort_with_opencv(images, draws)
    return distort_with_torch(images, draws)


def distort_with_opencv(images: Tensor, draws: Sequence[Colours]) -> Tensor:
    """`distort` for images on the CPU: equal to mmseg's, as all steps between are tables."""
    values = torch.empty_like(images, dtype=torch.float32)
    for image, draw, out in zip(images.permute(0, 2, 3, 1), draws, values, strict=True):
        pixels: NDArray[np.uint8] = image.contiguous().numpy()
        shifted = _levels(_LEVELS, 1.0, draw.brightness)
        pixels = _looked_up(pixels, _levels(shifted, draw.contrast_first))
        if draw.saturation is not None:
            pixels = _looked_up_in_hsv(pixels, 1, _levels(_LEVELS, draw.saturation))
        if draw.hue is not None:
            hues = ((_LEVELS + draw.hue) % HUES).astype(np.uint8)
            pixels = _looked_up_in_hsv(pixels, 0, hues)
        pixels = _looked_up(pixels, _levels(_LEVELS, draw.contrast_last))
        out.copy_(torch.from_numpy(pixels).permute(2, 0, 1))
    return values


def _levels(levels: NDArray[Any], factor: float, addend: float = 0.0) -> NDArray[np.uint8]:
    """Return `PhotoMetricDistortion.convert` of grey levels: float32, then truncated."""
    scaled = levels.astype(np.float32) * np.float32(factor) + np.float32(addend)
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 255)
    return clipped.astype(np.uint8)


def _looked_up(pixels: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (
        pixels if np.array_equal(table, _LEVELS) else np.asarray(cv2.LUT(pixels, table), np.uint8)
    )


def _looked_up_in_hsv(
    pixels: NDArray[np.uint8], channel: int, table: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, channel), table), hsv, channel)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)


def distort_with_torch(images: Tensor, draws: Sequence[Colours]) -> Tensor:
    """`distort` for images on any device, without OpenCV (equality: see `opencv_hsv`)."""
    values = images.float()
    if any(draw.brightness for draw in draws):
        shift = _per_image((draw.brightness for draw in draws), values)
        values.add_(shift).clamp_(0, 255).floor_()
    _scale(values, [draw.contrast_first for draw in draws])
    for members in _alike(draws):
        planes = torch.stack([values[member] for member in members], dim=1)
        planes = _through_hsv(planes.contiguous(), [draws[member] for member in members])
        for member, plane in zip(members, planes.unbind(1), strict=True):
            values[member] = plane
    _scale(values, [draw.contrast_last for draw in draws])
    return values


def _per_image(numbers: Iterable[float], like: Tensor) -> Tensor:
    """Return a tensor `(B, 1, 1, 1)` on the device of `like`; the host does not wait for it."""
    column = torch.tensor(list(numbers), dtype=like.dtype).view(-1, 1, 1, 1)
    return column.to(like.device, non_blocking=True)


def _scale(values: Tensor, factors: Sequence[float]) -> None:
    if any(factor != 1 for factor in factors):
        values.mul_(_per_image(factors, values)).clamp_(0, 255).floor_()


def _alike(draws: Sequence[Colours]) -> list[list[int]]:
    """Return the images that go through HSV, grouped by the steps that they take there."""
    groups = defaultdict(list)
    for index, draw in enumerate(draws):
        groups[draw.saturation is not None, draw.hue is not None].append(index)
    groups.pop((False, False), None)
    return list(groups.values())


def _through_hsv(bgr: Tensor, draws: Sequence[Colours]) -> Tensor:
    """Return `bgr` `(3, B, H, W)`, images that are `_alike`, with saturation and hue changed."""
    factors = [draw.saturation for draw in draws if draw.saturation is not None]
    if factors:
        hsv = hsv_of_bgr(bgr)
        hsv[1].mul_(_per_image(factors, bgr)[:, 0]).clamp_(0, 255).floor_()
        bgr = bgr_of_hsv(hsv)
    turns = [draw.hue for draw in draws if draw.hue is not None]
    if turns:
        hsv = hsv_of_bgr(bgr)
        hue = hsv[0].add_(_per_image(turns, bgr)[:, 0])
        # Half a step keeps whole turns clear of rounding errors.
        hue.sub_(hue.add(0.5).mul_(1 / HUES).floor_(), alpha=HUES)
        bgr = bgr_of_hsv(hsv)
    return bgr

"""mmseg's `PhotoMetricDistortion`, divided into sampling and application.

A transform samples the parameters in a data loader worker. A function applies them to a batch on
the model's device.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy import random
from numpy.typing import NDArray
from torch import Tensor

from isnet.data.loading.opencv_hsv import HUES, bgr_to_hsv, hsv_to_bgr
from isnet.images.pixel_format import COLOURS

_LEVELS = np.arange(256)


class DistortionParameters(NamedTuple):
    """Parameters of the photometric distortion of one image, in the order of its steps.

    `brightness` is an offset in grey levels, `hue` an offset in steps of 2 degrees. The others are
    factors. `saturation` and `hue` are None if their step is skipped, because the round trip
    through 8-bit HSV changes pixels even for a factor of 1 or an offset of 0.
    """

    brightness: float = 0.0
    contrast_first: float = 1.0
    saturation: float | None = None
    hue: int | None = None
    contrast_last: float = 1.0


# DrawColours is the former name, an alias until 0.2.
@TRANSFORMS.register_module(name=["SamplePhotometricDistortion", "DrawColours"])
@dataclass(eq=False)
class SamplePhotometricDistortion(BaseTransform):
    """Sample the parameters of photometric distortion, which `DevicePreProcessor` then applies.

    Arguments and random numbers are those of mmseg's `PhotoMetricDistortion`, drawn in the same
    order from numpy's global generator. The parameters are added as the key `colours`, a
    `DistortionParameters`, which must be among the packing transform's `meta_keys`. Padding that is
    added before the pre-processor is distorted too.
    """

    brightness_delta: int = 32
    contrast_range: tuple[float, float] = (0.5, 1.5)
    saturation_range: tuple[float, float] = (0.5, 1.5)
    hue_delta: int = 18

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Sample distortion parameters and add them to `results` as `colours`."""
        delta = self.brightness_delta
        brightness = random.uniform(-delta, delta) if random.randint(2) else 0.0
        contrast_is_first = random.randint(2) == 1
        contrast_first = self._contrast() if contrast_is_first else 1.0
        saturation = random.uniform(*self.saturation_range) if random.randint(2) else None
        hue = random.randint(-self.hue_delta, self.hue_delta) if random.randint(2) else None
        contrast_last = 1.0 if contrast_is_first else self._contrast()
        results["colours"] = DistortionParameters(
            brightness, contrast_first, saturation, hue, contrast_last
        )
        return results

    def _contrast(self) -> float:
        return random.uniform(*self.contrast_range) if random.randint(2) else 1.0


def distort(images: Tensor, parameters: Sequence[DistortionParameters]) -> Tensor:
    """Apply photometric distortion to a batch; the pixels equal those of `PhotoMetricDistortion`.

    `images` is `(B, C, H, W)` uint8, and `parameters` has one entry per image. Three channels are
    BGR; those of other numbers are bands, without hue and saturation. The result is float32 of the
    same shape, whole numbers 0..255, in the memory format of `images`.

    On the CPU this uses OpenCV, which takes a quarter of torch's time (5 against 20 ms for
    512x1024, one core); elsewhere torch with OpenCV's arithmetic, without synchronisation.

    Raises:
        ValueError: `images` has another type or shape, or the number of parameters is wrong.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise ValueError(f"images are uint8 (B, C, H, W), not {images.dtype} {tuple(images.shape)}")
    if len(parameters) != len(images):
        raise ValueError(f"{len(images)} images, {len(parameters)} distortion parameters")
    if images.shape[1] != COLOURS:
        parameters = [drawn._replace(saturation=None, hue=None) for drawn in parameters]
    if images.device.type == "cpu":
        return distort_with_opencv(images, parameters)
    return distort_with_torch(images, parameters)


def distort_with_opencv(images: Tensor, parameters: Sequence[DistortionParameters]) -> Tensor:
    """Apply photometric distortion on the CPU with OpenCV, by a lookup table for each step.

    See `distort` for arguments and result.
    """
    values = torch.empty_like(images, dtype=torch.float32)
    for image, drawn, out in zip(images.permute(0, 2, 3, 1), parameters, values, strict=True):
        pixels: NDArray[np.uint8] = image.contiguous().numpy()
        brightened = _convert(_LEVELS, 1.0, drawn.brightness)
        pixels = _look_up(pixels, _convert(brightened, drawn.contrast_first))
        if drawn.saturation is not None:
            pixels = _look_up_in_hsv(pixels, 1, _convert(_LEVELS, drawn.saturation))
        if drawn.hue is not None:
            pixels = _look_up_in_hsv(pixels, 0, ((_LEVELS + drawn.hue) % HUES).astype(np.uint8))
        pixels = _look_up(pixels, _convert(_LEVELS, drawn.contrast_last))
        out.copy_(torch.from_numpy(pixels).permute(2, 0, 1))
    return values


def _convert(levels: NDArray[Any], factor: float, offset: float = 0.0) -> NDArray[np.uint8]:
    """Return `levels * factor + offset` as mmseg does: in float32, clipped and truncated."""
    scaled = levels.astype(np.float32) * np.float32(factor) + np.float32(offset)
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 255)
    return clipped.astype(np.uint8)


def _look_up(pixels: NDArray[np.uint8], table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if np.array_equal(table, _LEVELS):
        return pixels
    return np.asarray(cv2.LUT(pixels, table), np.uint8)


def _look_up_in_hsv(
    pixels: NDArray[np.uint8], channel: int, table: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    cv2.insertChannel(cv2.LUT(cv2.extractChannel(hsv, channel), table), hsv, channel)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)


def distort_with_torch(images: Tensor, parameters: Sequence[DistortionParameters]) -> Tensor:
    """Apply photometric distortion with torch, on any device.

    See `distort` for arguments and result, and `opencv_hsv` for the equality with OpenCV.
    """
    values = images.float()
    if any(drawn.brightness for drawn in parameters):
        shift = _per_image((drawn.brightness for drawn in parameters), values)
        values.add_(shift).clamp_(0, 255).floor_()
    _scale(values, [drawn.contrast_first for drawn in parameters])
    for members in _group_by_steps(parameters):
        planes = torch.stack([values[member] for member in members], dim=1)
        planes = _change_in_hsv(planes.contiguous(), [parameters[member] for member in members])
        for member, plane in zip(members, planes.unbind(1), strict=True):
            values[member] = plane
    _scale(values, [drawn.contrast_last for drawn in parameters])
    return values


def _per_image(numbers: Iterable[float], like: Tensor) -> Tensor:
    """Return one number per image as a tensor `(B, 1, 1, 1)` on the device of `like`.

    The numbers are copied there without synchronisation.
    """
    column = torch.tensor(list(numbers), dtype=like.dtype).view(-1, 1, 1, 1)
    return column.to(like.device, non_blocking=like.is_cuda)


def _scale(values: Tensor, factors: Sequence[float]) -> None:
    if any(factor != 1 for factor in factors):
        values.mul_(_per_image(factors, values)).clamp_(0, 255).floor_()


def _group_by_steps(parameters: Sequence[DistortionParameters]) -> list[list[int]]:
    """Return the indices of the images to be changed in HSV, by step: saturation, hue or both."""
    groups = defaultdict(list)
    for index, drawn in enumerate(parameters):
        groups[drawn.saturation is not None, drawn.hue is not None].append(index)
    groups.pop((False, False), None)
    return list(groups.values())


def _change_in_hsv(bgr: Tensor, parameters: Sequence[DistortionParameters]) -> Tensor:
    factors = [drawn.saturation for drawn in parameters if drawn.saturation is not None]
    if factors:
        hsv = bgr_to_hsv(bgr)
        hsv[1].mul_(_per_image(factors, bgr)[:, 0]).clamp_(0, 255).floor_()
        bgr = hsv_to_bgr(hsv)
    offsets = [drawn.hue for drawn in parameters if drawn.hue is not None]
    if offsets:
        hsv = bgr_to_hsv(bgr)
        hue = hsv[0].add_(_per_image(offsets, bgr)[:, 0])
        # Modulo HUES; half a step keeps whole turns clear of rounding errors.
        hue.sub_(hue.add(0.5).mul_(1 / HUES).floor_(), alpha=HUES)
        bgr = hsv_to_bgr(hsv)
    return bgr

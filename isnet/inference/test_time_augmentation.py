"""The views of an image, one after the other: sizes, mirror images, windows.

The official ones follow the code of ISNet (SegmentationBLWX/sssegmentation, `auginference` and
`inference`), mmseg's its `tta_pipeline` and `SegTTAModel`, view by view; the differences are in
memory and time only.
"""

from __future__ import annotations

from collections.abc import Iterator

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmseg.datasets.transforms import Resize
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.malloc_settings import release_freed_memory
from isnet.inference.segmentor_logits import Size, logits, raw_logits, resized

__all__ = ["read_pixels", "slide", "tta_scores", "windows"]

_PIXELS_AT_ONCE = 2**21
"""What one batch on a GPU holds at most: an image of 1024x2048, or four windows of 512x1024."""


def windows(size: Size, crop_size: Size, stride: Size) -> list[tuple[int, int, int, int]]:
    """Return (top, bottom, left, right) of windows that cover an image; the last ones are moved
    inside, a small image is one window.
    """
    edges = []
    for length, crop, step in zip(size, crop_size, stride, strict=True):
        count = max(length - crop + step - 1, 0) // step + 1
        ends = [min(index * step + crop, length) for index in range(count)]
        edges.append([(max(end - crop, 0), end) for end in ends])
    return [(*rows, *columns) for rows in edges[0] for columns in edges[1]]


def _batches(device: torch.device) -> bool:
    """Whether several views or windows at once are faster than one after the other: not on a CPU,
    which one keeps busy.
    """
    return device.type != "cpu"


def _fitting(x: Tensor, size: Size) -> int:
    """Return how many batches like `x`, cut to `size`, one batch may hold: where batches are
    faster, as many as `_PIXELS_AT_ONCE` has room for.
    """
    if not _batches(x.device):
        return 1
    return max(_PIXELS_AT_ONCE // (x.shape[0] * size[0] * size[1]), 1)


def slide(model: EncoderDecoder, x: Tensor, settings: InferenceSettings, average: str) -> Tensor:
    """Return scores `(B, K, H, W)` of `x` `(B, 3, H, W)`: the `average` ("logits" or
    "probabilities") over overlapping windows.
    """
    assert settings.crop_size is not None and settings.stride is not None, (
        "InferenceSettings.from_config has checked it"
    )
    batch, _, height, width = x.shape
    places = windows((height, width), settings.crop_size, settings.stride)
    size = (places[0][1] - places[0][0], places[0][3] - places[0][2])
    at_once = min(settings.windows_per_batch, _fitting(x, size))
    total = x.new_zeros((batch, model.out_channels, height, width))
    count = x.new_zeros((1, 1, height, width))
    for start in range(0, len(places), at_once):
        group = places[start : start + at_once]
        crops = torch.cat([x[:, :, top:bottom, left:right] for top, bottom, left, right in group])
        scores = logits(model, crops, size)
        if average == "probabilities":
            scores = scores.softmax(dim=1)
        for part, (top, bottom, left, right) in zip(torch.split(scores, batch), group, strict=True):
            total[:, :, top:bottom, left:right] += part
            count[:, :, top:bottom, left:right] += 1
    return total.div_(count)


def tta_scores(
    model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings
) -> Iterator[Tensor]:
    """Yield the scores of each view `(B, K, h, w)`, mirrored back, one at a time, at whatever size
    they have.

    `x`: `(B, 3, H, W)` normalised, in the official protocol; in mmseg's the pixels of one image
    `(1, 3, H, W)`, uint8 as they were read.
    """
    if settings.protocol == "mmseg":
        yield from _mmseg_views(model, x, size, settings)
    else:
        yield from _official_views(model, x, settings)


def _one_by_one(scales: tuple[float, ...]) -> Iterator[float]:
    """Yield the scales. What a view leaves in memory is of no use to one of another size."""
    for scale in scales:
        yield scale
        if len(scales) > 1:
            release_freed_memory()


def _official_views(
    model: EncoderDecoder, x: Tensor, settings: InferenceSettings
) -> Iterator[Tensor]:
    for scale in _one_by_one(settings.scales):
        # By factor, not by size: on odd sizes the official code maps coordinates by the factor.
        scaled = (
            x
            if scale == 1
            else F.interpolate(
                x, scale_factor=scale, mode="bilinear", align_corners=model.align_corners
            )
        )
        if not settings.flip:
            yield _official_scores(model, scaled, settings)
            continue
        both = [scaled, scaled.flip(3)]
        if _fitting(x, (scaled.shape[2], scaled.shape[3])) >= 2:
            both = [torch.cat(both)]
        found = (_official_scores(model, part, settings) for part in both)
        seen = (scores for part in found for scores in torch.split(part, len(x)))
        yield next(seen)
        yield _unflip(next(seen), settings.flip_pairs)


def _official_scores(model: EncoderDecoder, x: Tensor, settings: InferenceSettings) -> Tensor:
    """Return the scores of one view: at the size of `x` when sliding, else at the resolution of
    the logits.
    """
    if settings.mode == "slide":
        return slide(model, x, settings, settings.average)
    scores = raw_logits(model, x)
    return scores.softmax(dim=1) if settings.average == "probabilities" else scores


def _unflip(scores: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    order = list(range(scores.shape[1]))
    for first, second in pairs:
        order[first], order[second] = second, first
    return (scores[:, order] if pairs else scores).flip(3)


def read_pixels(data: bytes) -> Tensor:
    """Return the image in a file's bytes as mmseg's `LoadImageFromFile` reads it: `(1, 3, H, W)`
    uint8, BGR.
    """
    image = mmcv.imfrombytes(data, flag="color", backend="cv2")
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def _mmseg_views(
    model: EncoderDecoder, pixels: Tensor, size: Size, settings: InferenceSettings
) -> Iterator[Tensor]:
    """Yield probabilities at `size`.

    As mmseg: the original image is resized as bytes, by cv2; windows average logits; these are
    enlarged to the view's size, and then again to `size`, before they become probabilities.
    """
    if pixels.dtype != torch.uint8 or len(pixels) != 1:
        raise ValueError("mmseg's protocol takes the uint8 pixels of one image: input_for")
    image = pixels[0].permute(1, 2, 0).numpy()
    for scale in _one_by_one(settings.scales):
        view = Resize(scale_factor=scale, keep_ratio=True)({"img": image})["img"]
        for mirrored in (False, True) if settings.flip else (False,):
            x = _normalised(model, mmcv.imflip(view) if mirrored else view)
            inside = (x.shape[2], x.shape[3])
            if settings.mode == "slide":
                scores = slide(model, x, settings, "logits")
            else:
                scores = logits(model, x, inside)
            scores = scores.flip(3) if mirrored else scores
            yield resized(scores, size, model.align_corners).softmax(dim=1)


def _normalised(model: EncoderDecoder, image: np.ndarray) -> Tensor:
    """Return an image `(H, W, 3)` as the model's own preprocessor hands it over."""
    pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    x: Tensor = model.data_preprocessor({"inputs": [pixels], "data_samples": None}, False)["inputs"]
    if x.shape[2:] != pixels.shape[1:]:
        hint = "Set data_preprocessor.test_cfg to None"
        raise UserError("padding of test images is not supported", hint=hint)
    return x.to(next(model.parameters()).dtype)

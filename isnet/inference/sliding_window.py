"""ImagePrediction of a picture by bands of windows: memory does not grow with the longer side."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.segmentor_logits import Size, compute_context, logits
from isnet.inference.test_time_augmentation import windows
from isnet.inference.upsampled_argmax import upsampled_argmax_with_confidence

__all__ = ["predict_in_bands"]

Place = tuple[int, int, int, int]


@torch.inference_mode()
def predict_in_bands(
    model: EncoderDecoder, x: Tensor, settings: InferenceSettings
) -> tuple[Tensor, Tensor]:
    """Return what `predict_with_confidence` does for one view by windows of `x` `(1, 3, H, W)`:
    classes `(1, H, W)` uint8 and confidence `(1, H, W)` float32, both on the CPU.

    Scores `(1, K, ...)` exist for one row of windows at a time, or one column where the picture is
    wider than high.
    """
    assert settings.crop_size is not None and settings.stride is not None, "they are by windows"
    height, width = x.shape[2:]
    axis = 3 if width > height else 2
    places = windows((height, width), settings.crop_size, settings.stride)
    first = 2 if axis == 3 else 0
    places.sort(key=lambda place: place[first])
    bands = [list(band) for _, band in groupby(places, key=lambda place: place[first])]
    starts = [band[0][first] for band in bands] + [x.shape[axis]]
    label = torch.empty((1, height, width), dtype=torch.uint8)
    confidence = torch.empty((1, height, width))
    summed = _Band.empty(model, x, axis, bands[0][0])
    for band, start, end in zip(bands, starts, starts[1:], strict=False):
        for place, scores in _scores(model, x, band, settings):
            summed.add(place, start, scores)
        done = summed.taken(end - start)
        best, sure = upsampled_argmax_with_confidence(
            done,
            (done.shape[2], done.shape[3]),
            model.align_corners,
            views=1,
            probabilities=settings.average == "probabilities",
        )
        label.narrow(axis - 1, start, end - start).copy_(best)
        confidence.narrow(axis - 1, start, end - start).copy_(sure)
    return label, confidence


def _scores(
    model: EncoderDecoder, x: Tensor, band: list[Place], settings: InferenceSettings
) -> Iterator[tuple[Place, Tensor]]:
    """Yield the scores `(1, K, h, w)` of a band's windows; a GPU makes several at a time."""
    at_once = 1 if x.device.type == "cpu" else settings.windows_per_batch
    for start in range(0, len(band), at_once):
        group = band[start : start + at_once]
        crops = torch.cat([x[:, :, top:bottom, left:right] for top, bottom, left, right in group])
        size: Size = (crops.shape[2], crops.shape[3])
        with compute_context(model, settings):
            scores = logits(model, crops, size)
        if settings.average == "probabilities":
            scores = scores.softmax(dim=1)
        yield from zip(group, torch.split(scores, 1), strict=True)


class _Band:
    """Sums over the windows that reach into a band, which begins where the last one was taken."""

    def __init__(self, axis: int, total: Tensor, count: Tensor) -> None:
        self._axis, self._total, self._count = axis, total, count

    @classmethod
    def empty(cls, model: EncoderDecoder, x: Tensor, axis: int, window: Place) -> _Band:
        """Return one as long as `x` and as thick as a window."""
        top, bottom, left, right = window
        size = [x.shape[2], right - left] if axis == 3 else [bottom - top, x.shape[3]]
        total = x.new_zeros([1, model.out_channels, *size])
        return cls(axis, total, x.new_zeros([1, 1, *size]))

    def add(self, place: Place, start: int, scores: Tensor) -> None:
        """Add a window's scores; `start`: where the band begins in the picture."""
        top, bottom, left, right = place
        if self._axis == 3:
            left, right = left - start, right - start
        else:
            top, bottom = top - start, bottom - start
        self._total[:, :, top:bottom, left:right] += scores
        self._count[:, :, top:bottom, left:right] += 1

    def taken(self, length: int) -> Tensor:
        """Return the mean of the first `length` rows or columns, and move on by as many."""
        rest = self._total.shape[self._axis] - length
        mean = self._total.narrow(self._axis, 0, length) / self._count.narrow(self._axis, 0, length)
        for sums in (self._total, self._count):
            kept = sums.narrow(self._axis, length, rest).clone()
            sums.zero_().narrow(self._axis, 0, rest).copy_(kept)
        return mean

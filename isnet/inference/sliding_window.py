"""Sliding-window inference: scores averaged over windows, or labels computed band by band."""

from collections.abc import Callable, Iterator
from itertools import groupby

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.segmentor_logits import (
    Size,
    compute_context,
    logits,
    upsampled_argmax_with_confidence,
)

Window = tuple[int, int, int, int]
"""(top, bottom, left, right) in pixels."""
ReadInput = Callable[[slice, slice], Tensor]
"""Returns the network input `(1, C, h, w)` of the rows and columns of an image."""
_PIXELS_PER_BATCH = 2**21
"""Largest batch on a GPU: an image of 1024x2048, or four windows of 512x1024."""


def window_grid(size: Size, crop_size: Size, stride: Size) -> list[Window]:
    """Return the sliding windows that cover an image of `size`.

    A window that would extend beyond the image is moved inside. If the image is smaller than a
    window, the window is cut.
    """
    edges = []
    for length, crop, step in zip(size, crop_size, stride, strict=True):
        count = max(length - crop + step - 1, 0) // step + 1
        ends = [min(index * step + crop, length) for index in range(count)]
        edges.append([(max(end - crop, 0), end) for end in ends])
    return [(*rows, *columns) for rows in edges[0] for columns in edges[1]]


def images_per_batch(device: torch.device, size: Size) -> int:
    """Return how many images of `size` to process together; on a CPU 1, as more are no faster."""
    return max(_PIXELS_PER_BATCH // (size[0] * size[1]), 1) if _uses_batches(device) else 1


def _uses_batches(device: torch.device) -> bool:
    return device.type != "cpu"


def sliding_window_scores(
    model: EncoderDecoder, x: Tensor, settings: InferenceSettings, average: str
) -> Tensor:
    """Compute class scores `(B, K, H, W)` of `x`, averaged over sliding windows.

    `average`: whether to average "logits" or "probabilities".
    """
    windows = _windows((x.shape[2], x.shape[3]), settings)
    total = x.new_zeros((len(x), model.out_channels, *x.shape[2:]))
    count = x.new_zeros((1, 1, *x.shape[2:]))
    for (top, bottom, left, right), scores in _window_scores(model, x, windows, settings, average):
        total[:, :, top:bottom, left:right] += scores
        count[:, :, top:bottom, left:right] += 1
    return total.div_(count)


@torch.inference_mode()
def predict_in_bands(
    model: EncoderDecoder, size: Size, read: ReadInput, settings: InferenceSettings
) -> tuple[Tensor, Tensor]:
    """Predict the labels of an image of `size` by sliding window, band by band, to bound memory.

    Returns labels `(1, H, W)` uint8 and confidence `(1, H, W)` float32 on the CPU, equal to those
    of `predict_with_confidence` for a single view. A band is a row of windows, or a column if the
    image is wider than high. Its input is read and its class scores are kept for one band only, so
    that their memory is independent of the longer side.
    """
    height, width = size
    axis, edge = (3, 2) if width > height else (2, 0)  # of a tensor, of a window
    windows = sorted(_windows(size, settings), key=lambda window: window[edge])
    bands = [list(band) for _, band in groupby(windows, key=lambda window: window[edge])]
    starts = [band[0][edge] for band in bands] + [size[axis - 2]]
    label = torch.empty((1, height, width), dtype=torch.uint8)
    confidence = torch.empty((1, height, width))
    shape = [height, width]
    shape[axis - 2] = bands[0][0][edge + 1] - bands[0][0][edge]
    parameter = next(model.parameters())
    total = parameter.new_zeros((1, model.out_channels, *shape))
    count = parameter.new_zeros((1, 1, *shape))
    for band, start, end in zip(bands, starts, starts[1:], strict=False):
        top, left = (0, start) if axis == 3 else (start, 0)
        x = read(slice(top, top + shape[0]), slice(left, left + shape[1]))
        inside = [(y0 - top, y1 - top, x0 - left, x1 - left) for y0, y1, x0, x1 in band]
        with compute_context(model, settings):
            for (y0, y1, x0, x1), scores in _window_scores(
                model, x, inside, settings, settings.average
            ):
                total[:, :, y0:y1, x0:x1] += scores
                count[:, :, y0:y1, x0:x1] += 1
        length = end - start
        mean = total.narrow(axis, 0, length) / count.narrow(axis, 0, length)
        for sums in (total, count):  # what reaches into the next band moves to the start
            rest = sums.narrow(axis, length, sums.shape[axis] - length).clone()
            sums.zero_().narrow(axis, 0, rest.shape[axis]).copy_(rest)
        best, sure = upsampled_argmax_with_confidence(
            mean, (mean.shape[2], mean.shape[3]), model.align_corners, settings
        )
        label.narrow(axis - 1, start, length).copy_(best)
        confidence.narrow(axis - 1, start, length).copy_(sure)
    return label, confidence


def _windows(size: Size, settings: InferenceSettings) -> list[Window]:
    assert settings.crop_size is not None and settings.stride is not None, "from_config checks it"
    return window_grid(size, settings.crop_size, settings.stride)


def _window_scores(
    model: EncoderDecoder,
    x: Tensor,
    windows: list[Window],
    settings: InferenceSettings,
    average: str,
) -> Iterator[tuple[Window, Tensor]]:
    """Yield each window with its class scores `(B, K, h, w)`; a GPU computes several at once."""
    top, bottom, left, right = windows[0]
    size: Size = (bottom - top, right - left)
    fitting = images_per_batch(x.device, (len(x) * size[0], size[1]))
    at_once = min(settings.windows_per_batch, fitting)
    for start in range(0, len(windows), at_once):
        group = windows[start : start + at_once]
        crops = torch.cat([x[:, :, top:bottom, left:right] for top, bottom, left, right in group])
        scores = logits(model, crops, size)
        if average == "probabilities":
            scores = scores.softmax(dim=1)
        yield from zip(group, torch.split(scores, len(x)), strict=True)

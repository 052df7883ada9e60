"""Compares the outputs and the speed of an exported network with torch."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from isnet.inference.export.exported_network import SMALLEST_SIDE

Runner = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From `(N, 3, H, W)` uint8 RGB to labels uint8 and confidence float32 `(N, H, W)`."""
TOLERANCE = 1e-3
"""Largest difference of a confidence: 1e-6 by the order of summation, more where a coarse class,
and with it the class centres, change.
"""
LEAST_LABELS_AGREE = 0.9995
"""Fraction of equal labels. The others are on borders, where two classes are equally likely."""
_SECONDS = 2.0
_ROUNDS = (3, 50)


class OutputComparison(NamedTuple):
    """Largest absolute difference of confidence, and fraction of equal labels, over all pixels."""

    max_abs_difference: float
    labels_agree: float

    @property
    def is_close(self) -> bool:
        """Whether both are tolerable; NaN is not."""
        return self.max_abs_difference <= TOLERANCE and self.labels_agree >= LEAST_LABELS_AGREE


def compare_outputs(
    reference: Runner,
    exported: Runner,
    images: Sequence[Tensor],
    on_progress: Callable[[int, int], None] | None = None,
) -> OutputComparison:
    """Run both on each image `(1, 3, H, W)`, and on two small crops of the first, of odd sizes.

    `on_progress` is called with (batches done, batches).
    """
    batches = [*images, *_crops(images[0])]
    worst, same, pixels = torch.zeros(()), 0, 0
    for done, batch in enumerate(batches, 1):
        (labels, confidence), (other, other_confidence) = reference(batch), exported(batch)
        if labels.shape != other.shape or labels.dtype != other.dtype:
            return OutputComparison(float("inf"), 0.0)
        # torch.maximum propagates NaN.
        worst = torch.maximum(worst, (confidence - other_confidence).abs().max())
        same += int((labels == other).sum())
        pixels += labels.numel()
        if on_progress is not None:
            on_progress(done, len(batches))
    return OutputComparison(float(worst), same / pixels)


def _crops(image: Tensor) -> Iterator[Tensor]:
    height, width = image.shape[2:]
    odd = [max(side * 2 // 3 - 1 | 1, SMALLEST_SIDE) for side in (height, width)]
    yield image[:, :, : odd[0], : odd[1]].contiguous()
    small = [max(side // 4 | 1, SMALLEST_SIDE) for side in (height, width)]
    corners = [image[:, :, : small[0], : small[1]], image[:, :, -small[0] :, -small[1] :]]
    yield torch.cat(corners).contiguous()


def measure_speeds(reference: Runner, exported: Runner, image: Tensor) -> tuple[float, float]:
    """Return the images per second of both, from median times of `image` `(1, 3, H, W)`.

    They run alternately, after a first run, so that other load on the machine slows both.
    """
    times: tuple[list[float], list[float]] = ([], [])
    least, most = _ROUNDS
    while len(times[0]) <= least or (sum(map(sum, times)) < _SECONDS and len(times[0]) < most):
        for runner, seconds in zip((reference, exported), times, strict=True):
            start = time.perf_counter()
            runner(image)
            seconds.append(time.perf_counter() - start)
    return 1 / statistics.median(times[0][1:]), 1 / statistics.median(times[1][1:])

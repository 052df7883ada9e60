"""Compares the outputs and the speed of an exported network with those of torch."""

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
"""Largest tolerated difference of a confidence. The order of summation alone causes 1e-6. The
difference is larger where the class that stage 1 predicts, and thus the class centres, change.
"""
LEAST_LABELS_AGREE = 0.9995
"""Least fraction of equal labels. They differ on borders, where two classes are equally likely."""
_SECONDS = 2.0
_ROUNDS = (3, 50)


class OutputComparison(NamedTuple):
    """Differences between the outputs of two networks over all pixels.

    `max_abs_difference`: largest absolute difference of the confidence. `labels_agree`: fraction of
    equal labels.
    """

    max_abs_difference: float
    labels_agree: float

    @property
    def is_close(self) -> bool:
        """Whether both differences are tolerable. NaN is not."""
        return self.max_abs_difference <= TOLERANCE and self.labels_agree >= LEAST_LABELS_AGREE


def compare_outputs(
    reference: Runner,
    exported: Runner,
    images: Sequence[Tensor],
    on_progress: Callable[[int, int], None] | None = None,
) -> OutputComparison:
    """Run both networks on the same images and compare their outputs.

    The images are `images`, each `(1, 3, H, W)`, and small crops of the first one, of odd sizes.
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
    """Measure the images per second of both networks, from median times of `image` `(1, 3, H, W)`.

    The networks run alternately, after a first run that does not count, so that other load on the
    machine slows both.
    """
    times: tuple[list[float], list[float]] = ([], [])
    least, most = _ROUNDS
    while len(times[0]) <= least or (sum(map(sum, times)) < _SECONDS and len(times[0]) < most):
        for runner, seconds in zip((reference, exported), times, strict=True):
            start = time.perf_counter()
            runner(image)
            seconds.append(time.perf_counter() - start)
    return 1 / statistics.median(times[0][1:]), 1 / statistics.median(times[1][1:])

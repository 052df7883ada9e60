"""Whether an exported network says what torch says, and how fast each says it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from isnet.inference.export.exported_network import SMALLEST_SIDE

__all__ = [
    "LEAST_LABELS_AGREE",
    "TOLERANCE",
    "OutputComparison",
    "Runner",
    "Speeds",
    "compare",
    "race",
]

Runner = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From `(N, 3, H, W)` uint8 RGB to labels uint8 and confidence float32 `(N, H, W)`."""
TOLERANCE = 1e-3
"""By how much a confidence may differ. Kernels add in another order, which alone moves it by 1e-6;
where that turns the coarse class of a position, the centres of two classes move a little as well.
"""
LEAST_LABELS_AGREE = 0.9995
"""Share of the pixels. The others lie on borders, where two classes are as likely."""
_SECONDS = 2.0
_ROUNDS = (3, 50)


@dataclass(frozen=True)
class OutputComparison:
    """Of two runners, over all pixels that both were shown: the largest absolute difference of
    confidence, and the share of equal labels.
    """

    max_abs_difference: float
    labels_agree: float

    @property
    def is_close(self) -> bool:
        """Whether both are within what is tolerated; not-a-number is not."""
        return self.max_abs_difference <= TOLERANCE and self.labels_agree >= LEAST_LABELS_AGREE


def compare(
    reference: Runner,
    exported: Runner,
    pictures: Sequence[Tensor],
    on_progress: Callable[[int, int], None] | None = None,
) -> OutputComparison:
    """Show both each picture `(1, 3, H, W)`, the first one also cut to odd sizes, and two small
    pieces of it as a batch. `on_progress` is called with (batches done, batches in all).
    """
    batches = [*pictures, *_pieces(pictures[0])]
    worst, same, pixels = torch.zeros(()), 0, 0
    for done, batch in enumerate(batches, 1):
        (labels, sure), (other, other_sure) = reference(batch), exported(batch)
        if labels.shape != other.shape or labels.dtype != other.dtype:
            return OutputComparison(float("inf"), 0.0)
        # torch's maximum hands a not-a-number on.
        worst = torch.maximum(worst, (sure - other_sure).abs().max())
        same += int((labels == other).sum())
        pixels += labels.numel()
        if on_progress is not None:
            on_progress(done, len(batches))
    return OutputComparison(float(worst), same / pixels)


def _pieces(picture: Tensor) -> Iterator[Tensor]:
    height, width = picture.shape[2:]
    odd = [max(side * 2 // 3 - 1 | 1, SMALLEST_SIDE) for side in (height, width)]
    yield picture[:, :, : odd[0], : odd[1]].contiguous()
    small = [max(side // 4 | 1, SMALLEST_SIDE) for side in (height, width)]
    corners = [picture[:, :, : small[0], : small[1]], picture[:, :, -small[0] :, -small[1] :]]
    yield torch.cat(corners).contiguous()


@dataclass(frozen=True)
class Speeds:
    """Images per second, from the median times of single images of `input` (height, width)."""

    input: tuple[int, int]
    reference: float
    exported: float


def race(reference: Runner, exported: Runner, picture: Tensor) -> Speeds:
    """Time both in turns on `picture` `(1, 3, H, W)`, warm, so that whatever else the machine does
    slows both.
    """
    times: tuple[list[float], list[float]] = ([], [])
    least, most = _ROUNDS
    while len(times[0]) <= least or (sum(map(sum, times)) < _SECONDS and len(times[0]) < most):
        for runner, taken in zip((reference, exported), times, strict=True):
            start = time.perf_counter()
            runner(picture)
            taken.append(time.perf_counter() - start)
    reference_median, exported_median = (statistics.median(taken[1:]) for taken in times)
    size = (picture.shape[2], picture.shape[3])
    return Speeds(size, 1 / reference_median, 1 / exported_median)

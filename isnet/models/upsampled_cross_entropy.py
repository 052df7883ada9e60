"""Cross-entropy of bilinearly upsampled logits, without materialising the upsampled logits."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from isnet.models.float32 import at_least_float32

_BAND_BYTES = {"cpu": 2**22, "cuda": 2**27}
"""Bytes of a band of upsampled logits: few enough for a CPU's cache, many for few GPU launches."""

_FORCED_BAND: ContextVar[int | None] = ContextVar("forced_band", default=None)


@contextlib.contextmanager
def bands_of(kind: str) -> Iterator[None]:
    """Use the bands of a kind of device (`cpu`, `gpu`) in the block, to count their memory."""
    token = _FORCED_BAND.set(_BAND_BYTES["cpu" if kind == "cpu" else "cuda"])
    try:
        yield
    finally:
        _FORCED_BAND.reset(token)


def upsampled_cross_entropy(
    logits: Tensor, label: Tensor, *, ignore_index: int, align_corners: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the cross-entropy of `logits` `(B, K, h, w)`, upsampled to the size of the label.

    `label` holds integers `(B, H, W)`. Returns the summed cross-entropy, the number of correct
    pixels, and the number of labelled pixels. The sum equals `F.cross_entropy(F.interpolate(logits,
    label.shape[1:], mode="bilinear"), label, reduction="sum")` up to rounding, in float32 at least.

    Upsampled logits exist only in bands of a few rows, and their gradient is immediately reduced to
    the size of `logits`. Memory is therefore independent of the number of classes times the size of
    the label, and the GPU needs no atomics.
    """
    with torch.autocast(logits.device.type, enabled=False):
        total, right, labelled = _UpsampledCrossEntropy.apply(
            logits, label, ignore_index, align_corners
        )
    return total, right, labelled


def count_right(scores: Tensor, of_label: Tensor, valid: Tensor) -> Tensor:
    """Count the `valid` pixels whose label has the largest of the scores `(B, K, H, W)`.

    `of_label` is the score of the label, `valid` whether there is one, both `(B, 1, H, W)`. Faster
    than mmseg's accuracy, which sorts the classes of every pixel and waits for the device.
    """
    return ((of_label >= scores.amax(1, keepdim=True)) & valid).sum()


class _UpsampledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, label: Tensor, ignore_index: int, align_corners: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Bilinear interpolation is linear along x, then, band by band, along y.
        values = at_least_float32(logits)
        (h, w), (height, width) = logits.shape[2:], label.shape[1:]
        along_y = linear_weights(h, height, align_corners, values.dtype, values.device)
        along_x = linear_weights(w, width, align_corners, values.dtype, values.device)
        wide = values @ along_x.T
        wanted = ctx.needs_input_grad[0]
        gradient = torch.zeros_like(wide) if wanted else None
        total = values.new_zeros(())
        right = label.new_zeros(())
        for rows, sources in _bands(_first_sources(h, height, align_corners), wide):
            weights = along_y[rows, sources]
            scores = weights @ wide[:, :, sources]
            of_labels, right_here, slope = _band(scores, label[:, rows], ignore_index, wanted)
            total -= of_labels
            right += right_here
            if gradient is not None:
                gradient[:, :, sources] += weights.T @ slope
        if gradient is not None:
            # In float32: rounding here and again in `backward` would bias all pixels alike.
            ctx.save_for_backward(gradient @ along_x)
            ctx.dtype = logits.dtype
        labelled = (label != ignore_index).sum()
        ctx.mark_non_differentiable(right, labelled)
        return total, right, labelled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_total: Tensor, *_: Any) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return (gradient * of_total).to(ctx.dtype), None, None, None


def _band(
    scores: Tensor, label: Tensor, ignore_index: int, wanted: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the summed log-probability of a band's labels, correct pixels, and the gradient.

    Without `wanted` the scores are returned instead of the gradient.
    """
    valid = (label != ignore_index)[:, None]
    classes = label[:, None].where(valid, 0)
    log_probabilities = scores.log_softmax(1)
    of_label = log_probabilities.gather(1, classes)
    right = count_right(log_probabilities, of_label, valid)
    total = (of_label * valid).sum()
    if not wanted:
        return total, right, scores
    slope = log_probabilities.exp_()
    slope.scatter_(1, classes, of_label.exp() - 1)
    return total, right, slope.mul_(valid)


# Cached on its device: a copy to the GPU in each step would wait for it.
@lru_cache(maxsize=64)
def linear_weights(
    small: int, large: int, align_corners: bool, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Return the matrix `(large, small)` by which torch interpolates linearly."""
    unit = torch.eye(small, dtype=torch.float64)[None]
    weights = F.interpolate(unit, size=large, mode="linear", align_corners=align_corners)[0].T
    return weights.to(device, dtype)


@lru_cache(maxsize=64)
def _first_sources(small: int, large: int, align_corners: bool) -> tuple[int, ...]:
    """Return, for each upsampled row, the first of the two rows from which it is interpolated."""
    if align_corners:
        return tuple(row * (small - 1) // max(1, large - 1) for row in range(large))
    return tuple(max(0, ((2 * row + 1) * small - large) // (2 * large)) for row in range(large))


def _bands(first: tuple[int, ...], wide: Tensor) -> Iterator[tuple[slice, slice]]:
    """Yield the bands of an upsampling: rows of the label, and the rows of the logits for them."""
    batch, classes, small, width = wide.shape
    row_bytes = batch * classes * width * wide.element_size()
    most = _FORCED_BAND.get() or _BAND_BYTES.get(wide.device.type, 2**27)
    step = max(1, most // row_bytes)
    for start in range(0, len(first), step):
        stop = min(start + step, len(first))
        yield slice(start, stop), slice(first[start], min(first[stop - 1] + 2, small))

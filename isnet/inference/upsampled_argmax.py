"""Arg-max of bilinearly upsampled scores, without the upsampled tensor `(B, K, H, W)`.

One class is upsampled at a time. On a CPU only the cells between four positions whose classes
differ are upsampled: where the four agree, so do all pixels between them, because bilinear
interpolation is a weighted mean of the four.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from isnet.inference.segmentor_logits import Size, resize

__all__ = ["upsampled_argmax", "upsampled_argmax_with_confidence"]

_MIXED_AT_MOST = 0.4
"""Fraction of cells on class borders above which upsampling everything is faster."""
_CELLS_AT_ONCE = 2**12


def upsampled_argmax(scores: Tensor, size: Size, align_corners: bool) -> Tensor:
    """Return the arg-max over K of `scores` `(B, K, h, w)` resized to `size`: `(B, *size)` uint8.

    Equal to `F.interpolate` and `argmax`, except for ties within rounding.
    """
    larger = size[0] >= 2 * scores.shape[2] and size[1] >= 2 * scores.shape[3]
    if scores.device.type != "cpu" or not larger:
        return _by_planes(scores, size, align_corners)[0]
    return torch.cat([_by_cells(image, size, align_corners) for image in torch.split(scores, 1)])


def upsampled_argmax_with_confidence(
    scores: Tensor, size: Size, align_corners: bool, *, views: int, probabilities: bool
) -> tuple[Tensor, Tensor]:
    """Return the result of `upsampled_argmax`, and the probability of that class, `(B, *size)`
    float32.

    `scores`: the sum over `views` of probabilities, or of logits (whose mean is resized before the
    softmax).
    """
    label, best = _by_planes(scores, size, align_corners)
    if probabilities:
        return label, (best / views).float()
    others = torch.zeros_like(best)
    for plane in _planes(scores, size, align_corners):
        below = plane - best
        others += (below.div_(views) if views > 1 else below).exp_()
    return label, others.reciprocal_().float()


def _planes(scores: Tensor, size: Size, align_corners: bool) -> Iterator[Tensor]:
    """Yield the resized scores `(B, *size)` class by class."""
    for index in range(scores.shape[1]):
        yield resize(scores[:, index : index + 1], size, align_corners)[:, 0]


def _by_planes(scores: Tensor, size: Size, align_corners: bool) -> tuple[Tensor, Tensor]:
    """Return the arg-max `(B, *size)` uint8 and its score, comparing all classes everywhere."""
    planes = _planes(scores, size, align_corners)
    best = next(planes).clone()
    label = torch.zeros(best.shape, dtype=torch.uint8, device=scores.device)
    for index, candidate in enumerate(planes, 1):
        label.masked_fill_(candidate > best, index)
        torch.maximum(best, candidate, out=best)
    return label, best


@dataclass(frozen=True)
class _Axis:
    """Interpolation of an axis as in `F.interpolate`: `(N,)` pixels between the samples `low` and
    `high`, and the `weight` of `high`.
    """

    low: Tensor
    high: Tensor
    weight: Tensor

    @classmethod
    def of(cls, small: int, large: int, align_corners: bool, like: Tensor) -> _Axis:
        """Return the interpolation from `small` to `large` samples."""
        place = torch.arange(large, dtype=like.dtype, device=like.device)
        if align_corners:
            place = place * ((small - 1) / max(large - 1, 1))
        else:
            place = ((place + 0.5) * (small / large) - 0.5).clamp_(min=0)
        low = place.long().clamp_(max=small - 1)
        return cls(low, (low + 1).clamp_(max=small - 1), (place - low).clamp_(0, 1))

    def pixels_between_samples(self) -> Tensor:
        """Return the pixels between each pair of samples: `(C, P)`, the last one repeated where
        there are fewer than P.
        """
        counts = torch.unique_consecutive(self.low, return_counts=True)[1]
        ends = counts.cumsum(0)
        steps = torch.arange(int(counts.max()))
        return torch.minimum((ends - counts)[:, None] + steps, ends[:, None] - 1)


def _by_cells(scores: Tensor, size: Size, align_corners: bool) -> Tensor:
    """Return the arg-max of `scores` `(1, K, h, w)`, comparing classes in mixed cells only."""
    rows = _Axis.of(scores.shape[2], size[0], align_corners, scores)
    columns = _Axis.of(scores.shape[3], size[1], align_corners, scores)
    winner = scores[0].argmax(0).to(torch.uint8)
    # An upsampled axis has pixels between every pair of neighbours.
    around = F.pad(winner[None, None].float(), (0, 1, 0, 1), mode="replicate")
    highest = F.max_pool2d(around, 2, stride=1)[0, 0]
    mixed = highest != -F.max_pool2d(-around, 2, stride=1)[0, 0]
    if float(mixed.float().mean()) > _MIXED_AT_MOST:
        return _by_planes(scores, size, align_corners)[0]
    label = winner[rows.low][:, columns.low].contiguous()
    top, left = mixed.nonzero(as_tuple=True)
    down, across = rows.pixels_between_samples(), columns.pixels_between_samples()
    flat = scores[0].flatten(1)
    for start in range(0, len(top), _CELLS_AT_ONCE):
        part = slice(start, start + _CELLS_AT_ONCE)
        y, x = down[top[part]], across[left[part]]
        found = _cell_classes(flat, scores.shape[3], rows, columns, y, x)
        label[y[:, :, None], x[:, None, :]] = found
    return label[None]


def _cell_classes(
    flat: Tensor, width: int, rows: _Axis, columns: _Axis, y: Tensor, x: Tensor
) -> Tensor:
    """Return the arg-max `(M, P, Q)` uint8 in cells with the pixel rows `y` `(M, P)` and columns
    `x` `(M, Q)`, from scores `(K, h * w)`.
    """
    top, bottom = rows.low[y[:, 0]] * width, rows.high[y[:, 0]] * width
    left, right = columns.low[x[:, 0]], columns.high[x[:, 0]]
    corners = [flat[:, place] for place in (top + left, top + right, bottom + left, bottom + right)]
    down, across = rows.weight[y][:, :, None], columns.weight[x][:, None, :]
    best = flat.new_full((len(y), y.shape[1], x.shape[1]), -torch.inf)
    label = torch.zeros(best.shape, dtype=torch.uint8)
    for index, scores in enumerate(torch.stack(corners, dim=1)):
        a, b, c, d = (corner[:, None, None] for corner in scores)
        upper, lower = torch.lerp(a, b, across), torch.lerp(c, d, across)
        candidate = torch.lerp(upper, lower, down)
        label.masked_fill_(candidate > best, index)
        torch.maximum(best, candidate, out=best)
    return label

"""From scores at a network's resolution to classes at that of the label.

The enlarged scores `(B, K, H, W)` never exist as a whole: one class at a time is enlarged. And
where the four scores around a piece of the image agree on a class, so do all that lie between them,
since bilinear interpolation is a mean of the four; on a CPU only the other pieces are enlarged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from isnet.inference.segmentor_logits import Size, resized

__all__ = ["upsampled_argmax", "upsampled_argmax_with_confidence"]

_MIXED_AT_MOST = 0.4
"""Share of cells on class borders above which looking for them costs more than it saves."""
_CELLS_AT_ONCE = 2**12


def upsampled_argmax(scores: Tensor, size: Size, align_corners: bool) -> Tensor:
    """Return the arg-max over K of `scores` `(B, K, h, w)` resized to `size`: `(B, *size)` uint8.

    That of `F.interpolate` and `argmax`, save for ties within rounding.
    """
    larger = size[0] >= 2 * scores.shape[2] and size[1] >= 2 * scores.shape[3]
    if scores.device.type != "cpu" or not larger:
        return _by_planes(scores, size, align_corners)[0]
    return torch.cat([_by_cells(image, size, align_corners) for image in torch.split(scores, 1)])


def upsampled_argmax_with_confidence(
    scores: Tensor, size: Size, align_corners: bool, *, views: int, probabilities: bool
) -> tuple[Tensor, Tensor]:
    """Return what `upsampled_argmax` does, and the probability of that class, `(B, *size)` float32.

    `scores` are the sum over `views` of logits, or of `probabilities`; a mean of logits is turned
    into probabilities after it has been resized.
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
    """Yield the resized scores `(B, *size)` of one class after the other."""
    for index in range(scores.shape[1]):
        yield resized(scores[:, index : index + 1], size, align_corners)[:, 0]


def _by_planes(scores: Tensor, size: Size, align_corners: bool) -> tuple[Tensor, Tensor]:
    """Return the best class `(B, *size)` uint8 and its score, all classes compared everywhere."""
    planes = _planes(scores, size, align_corners)
    best = next(planes).clone()
    label = torch.zeros(best.shape, dtype=torch.uint8, device=scores.device)
    for index, candidate in enumerate(planes, 1):
        label.masked_fill_(candidate > best, index)
        torch.maximum(best, candidate, out=best)
    return label, best


@dataclass(frozen=True)
class _Axis:
    """Where pixels `(N,)` of an enlarged axis lie between `low` and `high` of the small one, and
    the `weight` of the latter: those of `F.interpolate`.
    """

    low: Tensor
    high: Tensor
    weight: Tensor

    @classmethod
    def of(cls, small: int, large: int, align_corners: bool, like: Tensor) -> _Axis:
        """Describe an axis from `small` to `large` samples."""
        place = torch.arange(large, dtype=like.dtype, device=like.device)
        if align_corners:
            place = place * ((small - 1) / max(large - 1, 1))
        else:
            place = ((place + 0.5) * (small / large) - 0.5).clamp_(min=0)
        low = place.long().clamp_(max=small - 1)
        return cls(low, (low + 1).clamp_(max=small - 1), (place - low).clamp_(0, 1))

    def pieces(self) -> tuple[Tensor, Tensor]:
        """Return which pixels lie between the same two samples: `(C, P)`, one row of pixels for
        each pair (the last one repeated where there are fewer than P); and of each pixel the row.
        """
        row = torch.unique_consecutive(self.low, return_inverse=True)[1]
        counts = torch.bincount(row)
        ends = counts.cumsum(0)
        steps = torch.arange(int(counts.max()))
        return torch.minimum((ends - counts)[:, None] + steps, ends[:, None] - 1), row


def _by_cells(scores: Tensor, size: Size, align_corners: bool) -> Tensor:
    """Compare classes where the four scores around disagree; `scores` `(1, K, h, w)`."""
    rows = _Axis.of(scores.shape[2], size[0], align_corners, scores)
    columns = _Axis.of(scores.shape[3], size[1], align_corners, scores)
    winner = scores[0].argmax(0).to(torch.uint8)
    # Every pair of neighbours occurs, since an enlarged axis leaves none out.
    around = F.pad(winner[None, None].float(), (0, 1, 0, 1), mode="replicate")
    highest = F.max_pool2d(around, 2, stride=1)[0, 0]
    mixed = highest != -F.max_pool2d(-around, 2, stride=1)[0, 0]
    if float(mixed.float().mean()) > _MIXED_AT_MOST:
        return _by_planes(scores, size, align_corners)[0]
    label = winner[rows.low][:, columns.low].contiguous()
    top, left = mixed.nonzero(as_tuple=True)
    (down, _), (across, _) = rows.pieces(), columns.pieces()
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
    """Return the classes `(M, P, Q)` uint8 of cells with the pixels `y` `(M, P)` and `x`
    `(M, Q)`, from scores `(K, h * w)`.
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

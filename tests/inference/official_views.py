"""The official protocol written down from its description, slowly: what our views must equal.

SegmentationBLWX/sssegmentation scores an image so: for each ratio the normalised (and already
resized) image is resized by the factor; it is seen whole or in windows; then its mirror image is,
whose classes left and right change places; all answers are resized to the label's size and
averaged. Windows are enlarged to their own size, turned into probabilities where the row says so,
and averaged where they overlap; a whole image turns into probabilities before it is enlarged.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SIX = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


@dataclass(frozen=True)
class Row:
    """How one official row is scored; crops and stride are in pixels."""

    mode: str
    softmax: bool
    scales: tuple[float, ...] = SIX
    crop: tuple[int, int] | None = None
    stride: int | None = None
    swapped: tuple[tuple[int, int], ...] = ()


def enlarged(scores: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)


@torch.no_grad()
def network(model, x: Tensor) -> Tensor:
    return model.decode_head(model.backbone(x))[1]


def starts(length: int, crop: int, stride: int) -> list[int]:
    if length <= crop:
        return [0]
    return [*range(0, length - crop, stride), length - crop]


def in_windows(model, x: Tensor, row: Row) -> Tensor:
    height, width = x.shape[2:]
    crop = min(row.crop[0], height), min(row.crop[1], width)
    total, times = 0, 0
    for top in starts(height, crop[0], row.stride):
        for left in starts(width, crop[1], row.stride):
            scores = enlarged(
                network(model, x[:, :, top : top + crop[0], left : left + crop[1]]), crop
            )
            scores = scores.softmax(1) if row.softmax else scores
            room = (left, width - left - crop[1], top, height - top - crop[0])
            total = total + F.pad(scores, room)
            times = times + F.pad(torch.ones(crop, dtype=x.dtype), room)
    return total / times


def official_scores(model, x: Tensor, size: tuple[int, int], row: Row) -> Tensor:
    """Return the averaged scores `(1, K, *size)`."""
    answers = []
    for ratio in row.scales:
        image = F.interpolate(x, scale_factor=ratio, mode="bilinear", align_corners=False)
        for mirrored in (False, True):
            seen = torch.flip(image, [3]) if mirrored else image
            if row.mode == "slide":
                scores = in_windows(model, seen, row)
            else:
                scores = network(model, seen)
                scores = scores.softmax(1) if row.softmax else scores
            if mirrored:
                before = scores.clone()
                for one, other in row.swapped:
                    scores[:, one], scores[:, other] = before[:, other], before[:, one]
                scores = torch.flip(scores, [3])
            answers.append(enlarged(scores, size))
    return sum(answers) / len(answers)

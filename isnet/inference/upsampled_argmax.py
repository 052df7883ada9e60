"""Arg-max of bilinearly upsampled scores, one class at a time: `(B, K, H, W)` is never stored."""

from collections.abc import Iterator

import torch
from torch import Tensor

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.segmentor_logits import Size, resize


def upsampled_argmax(scores: Tensor, size: Size, align_corners: bool) -> tuple[Tensor, Tensor]:
    """Return the arg-max over K of `scores` `(B, K, h, w)` resized to `size`, and its score:
    `(B, *size)` uint8 and of the type of `scores`.

    Equal to `F.interpolate` and `argmax`, except for ties within rounding.
    """
    planes = _planes(scores, size, align_corners)
    best = next(planes).clone()
    label = torch.zeros(best.shape, dtype=torch.uint8, device=scores.device)
    for index, candidate in enumerate(planes, 1):
        label.masked_fill_(candidate > best, index)
        torch.maximum(best, candidate, out=best)
    return label, best


def upsampled_argmax_with_confidence(
    scores: Tensor, size: Size, align_corners: bool, settings: InferenceSettings
) -> tuple[Tensor, Tensor]:
    """Return the arg-max, and the probability of that class, `(B, *size)` float32.

    `scores`: the sum over the views of probabilities, or of logits (whose mean is resized before
    the softmax), as `settings.average` says.
    """
    label, best = upsampled_argmax(scores, size, align_corners)
    if settings.average == "probabilities":
        return label, (best / settings.views).float()
    others = torch.zeros_like(best)
    for plane in _planes(scores, size, align_corners):
        below = plane - best
        others += (below.div_(settings.views) if settings.views > 1 else below).exp_()
    return label, others.reciprocal_().float()


def _planes(scores: Tensor, size: Size, align_corners: bool) -> Iterator[Tensor]:
    """Yield the resized scores `(B, *size)` class by class."""
    for index in range(scores.shape[1]):
        yield resize(scores[:, index : index + 1], size, align_corners)[:, 0]

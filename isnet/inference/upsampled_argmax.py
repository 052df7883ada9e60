"""Arg-max of bilinearly upsampled scores, without materialising them for all classes."""

from collections.abc import Iterator

import torch
from torch import Tensor

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.segmentor_logits import Size, resize


def upsampled_argmax(scores: Tensor, size: Size, align_corners: bool) -> tuple[Tensor, Tensor]:
    """Compute the arg-max over classes of bilinearly upsampled scores, without materialising them.

    `scores` `(B, K, h, w)` of K classes are resized to `size` one class at a time. Returns the
    labels `(B, *size)` uint8, and their scores `(B, *size)` in the dtype of `scores`. Equal to
    `F.interpolate` followed by `argmax`, except for ties within rounding.
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
    """Compute the labels of `upsampled_argmax` and their probabilities `(B, *size)` float32.

    `scores` are probabilities or logits, as `settings.average` says, summed over the views. The
    mean of logits is resized before the softmax.
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
    """Yield the scores of each class in turn, resized to `(B, *size)`."""
    for index in range(scores.shape[1]):
        yield resize(scores[:, index : index + 1], size, align_corners)[:, 0]

"""Computes a segmentor's logits, and the arg-max of their bilinear upsampling class by class."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.models.float32 import at_least_float32
from isnet.models.winograd import Winograd

Size = tuple[int, int]


def compute_context(
    model: EncoderDecoder, settings: InferenceSettings
) -> AbstractContextManager[Any]:
    """Return a context manager in which forward passes run in `settings.precision`."""
    if settings.precision == "float32":
        return Winograd()
    device = next(model.parameters()).device.type
    # The cache would keep a second copy of the weights until all views are done.
    return torch.autocast(device, torch.bfloat16, cache_enabled=False)


def has_plain_predict(model: EncoderDecoder) -> bool:
    """Return whether a model predicts in the way of mmseg's `EncoderDecoder` and `BaseDecodeHead`.

    Models with a cascade, EncHead, DAHead or Mask2Former do not.
    """
    return (
        type(model).encode_decode is EncoderDecoder.encode_decode
        and isinstance(model.decode_head, BaseDecodeHead)
        and type(model.decode_head).predict is BaseDecodeHead.predict
    )


def raw_logits(model: EncoderDecoder, x: Tensor) -> Tensor:
    """Compute the logits `(B, K, h, w)` of `x` `(B, 3, H, W)` at the decoder's resolution.

    If a head has several outputs, the last is returned. A model without `has_plain_predict` returns
    logits at the size of `x`. Raises UserError if the logits are not finite.
    """
    if x.device.type == "cpu":
        # 1x1 convolutions then need no reordering of their input.
        x = x.contiguous(memory_format=torch.channels_last)
    if has_plain_predict(model):
        output = model.decode_head(model.extract_feat(x))
        output = output[-1] if isinstance(output, list | tuple) else output
    else:
        meta = dict.fromkeys(("ori_shape", "img_shape", "pad_shape"), x.shape[2:])
        output = model.encode_decode(x, [meta | {"padding_size": [0] * 4} for _ in x])
    if not bool(torch.isfinite(output).all()):
        hint = "The training has diverged; lower the learning rate and train again"
        raise UserError("the model's output has NaN or infinite values", hint=hint)
    return at_least_float32(output)  # under autocast some heads return bfloat16


def resize(scores: Tensor, size: Size, align_corners: bool) -> Tensor:
    """Resize `scores` `(B, K, h, w)` bilinearly to `size`, without a copy if that is their size."""
    if tuple(scores.shape[2:]) == size:
        return scores
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=align_corners)


def logits(model: EncoderDecoder, x: Tensor, size: Size) -> Tensor:
    """Compute the logits of `x` `(B, 3, H, W)` and resize them once, to `(B, K, *size)`."""
    return resize(raw_logits(model, x), size, model.align_corners)


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
    """Compute the labels of `upsampled_argmax` and the probability of each pixel's label.

    Returns labels `(B, *size)` uint8 and probabilities `(B, *size)` float32. `scores` are
    probabilities or logits, as `settings.average` says, summed over the views. The mean of logits
    is resized before the softmax.
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

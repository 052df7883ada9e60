"""Streaming inference for mmseg's encoder-decoders: memory does not grow with the number of views.

mmseg's own test path resizes logits twice and keeps the logits of every view at full size; see
docs/reference/protocols.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.segmentor_logits import Size, compute_context, logits, raw_logits, resized
from isnet.inference.test_time_augmentation import tta_scores
from isnet.inference.upsampled_argmax import upsampled_argmax, upsampled_argmax_with_confidence

__all__ = ["logits", "predict", "predict_with_confidence", "raw_logits"]


@torch.inference_mode()
def predict(model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings) -> Tensor:
    """Return the predicted classes `(B, *size)` uint8 for `x`, see
    `EvaluationSample.input_for`; `size` is that of the label.

    The scores of several views are resized to `size` and added up as they come.
    """
    return upsampled_argmax(_summed_scores(model, x, size, settings), size, model.align_corners)


@torch.inference_mode()
def predict_with_confidence(
    model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings
) -> tuple[Tensor, Tensor]:
    """Return what `predict` does, and the probability of that class, `(B, *size)` float32.

    Where logits are averaged it is the softmax of the averaged logits.
    """
    return upsampled_argmax_with_confidence(
        _summed_scores(model, x, size, settings),
        size,
        model.align_corners,
        views=settings.views,
        probabilities=settings.average == "probabilities",
    )


def _summed_scores(
    model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings
) -> Tensor:
    """Return the sum of the views' scores at `size`; one view alone keeps its own size."""
    if not 2 <= model.out_channels <= 255:
        raise UserError(
            f"the decode head has {model.out_channels} output channels; 2 to 255 can be scored",
            where="model.decode_head",
        )
    with compute_context(model, settings):
        return _total(model, tta_scores(model, x, size, settings), size, settings)


def _total(
    model: EncoderDecoder, views: Iterator[Tensor], size: Size, settings: InferenceSettings
) -> Tensor:
    if settings.views == 1:
        return next(views)
    total = None
    for scores in views:
        if total is None:
            total = scores.new_zeros((*scores.shape[:2], *size))
        # Class by class: a second `(B, K, *size)` is not needed.
        for index in range(scores.shape[1]):
            part = slice(index, index + 1)
            total[:, part] += resized(scores[:, part], size, model.align_corners)
    assert total is not None, "there is at least one view"
    return total

"""Predicts label maps of images: whole or by sliding window, in one view or in several."""

from functools import partial

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.image_memory import fits_summed
from isnet.inference.segmentor_logits import (
    Size,
    upsampled_argmax,
    upsampled_argmax_with_confidence,
)
from isnet.inference.sliding_window import predict_in_bands
from isnet.inference.test_time_augmentation import sum_scores


@torch.inference_mode()
def predict(model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings) -> Tensor:
    """Predict the labels `(B, *size)` uint8 of the network input `x`.

    `x`: see `EvaluationSample.input_for`. `size`: height and width of the label. Memory does not
    increase with the number of views.
    """
    if has_bands(x, size, settings) and needs_bands(model, x, settings):
        return _predict_in_bands(model, x, settings)[0]
    return upsampled_argmax(sum_scores(model, x, size, settings), size, model.align_corners)[0]


@torch.inference_mode()
def predict_with_confidence(
    model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings
) -> tuple[Tensor, Tensor]:
    """Predict labels as `predict` does, with the probability of each pixel's label.

    Returns the labels `(B, *size)` uint8 and the probabilities `(B, *size)` float32. If logits are
    averaged, a probability is the softmax of the averaged logits. Both are on the CPU if the scores
    of all windows do not fit in memory.
    """
    if has_bands(x, size, settings) and needs_bands(model, x, settings):
        return _predict_in_bands(model, x, settings)
    scores = sum_scores(model, x, size, settings)
    return upsampled_argmax_with_confidence(scores, size, model.align_corners, settings)


def needs_bands(model: EncoderDecoder, x: Tensor, settings: InferenceSettings) -> bool:
    """Return whether the scores of all sliding windows of `x` do not fit in memory."""
    return settings.mode == "slide" and not fits_summed(model, x, settings)


def has_bands(x: Tensor, size: Size, settings: InferenceSettings) -> bool:
    """Return whether labels of `size` can be predicted band by band.

    They can from a single view at that size, if `x` is normalised, not the pixels of a file.
    """
    return settings.views == 1 and tuple(x.shape[2:]) == size and x.is_floating_point()


def _predict_in_bands(
    model: EncoderDecoder, x: Tensor, settings: InferenceSettings
) -> tuple[Tensor, Tensor]:
    def read(image: Tensor, rows: slice, columns: slice) -> Tensor:
        return image[:, :, rows, columns]

    size = (x.shape[2], x.shape[3])
    reads = [partial(read, image) for image in torch.split(x, 1)]
    labels, confidences = zip(
        *(predict_in_bands(model, size, one, settings) for one in reads), strict=True
    )
    return torch.cat(labels), torch.cat(confidences)

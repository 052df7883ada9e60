"""Predicts label maps of images, summing the scores of test-time augmentation view by view.

mmseg's own test path resizes logits twice and keeps the full-size logits of every view
(docs/reference/protocols.md).
"""

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.segmentor_logits import Size, compute_context, resize
from isnet.inference.test_time_augmentation import tta_scores
from isnet.inference.upsampled_argmax import upsampled_argmax, upsampled_argmax_with_confidence


@torch.inference_mode()
def predict(model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings) -> Tensor:
    """Predict the labels `(B, *size)` uint8 of the network input `x`.

    `x`: see `EvaluationSample.input_for`. `size`: height and width of the label. Memory does not
    increase with the number of views.
    """
    return upsampled_argmax(_scores(model, x, size, settings), size, model.align_corners)[0]


@torch.inference_mode()
def predict_with_confidence(
    model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings
) -> tuple[Tensor, Tensor]:
    """Predict labels as `predict` does, with the probability of the label of each pixel.

    Returns the labels `(B, *size)` uint8 and the probabilities `(B, *size)` float32. If logits are
    averaged, a probability is the softmax of the averaged logits.
    """
    scores = _scores(model, x, size, settings)
    return upsampled_argmax_with_confidence(scores, size, model.align_corners, settings)


def _scores(model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings) -> Tensor:
    """Return the class scores at `size`, summed over the views of test-time augmentation.

    The scores of a single view are returned at their own resolution.
    """
    if not 2 <= model.out_channels <= 255:
        what = f"the decode head has {model.out_channels} output channels; 2 to 255 can be scored"
        raise UserError(what, where="model.decode_head")
    total: Tensor | None = None
    with compute_context(model, settings):
        for scores in tta_scores(model, x, size, settings):
            if settings.views == 1:
                return scores
            if total is None:
                total = scores.new_zeros((*scores.shape[:2], *size))
            # One class at a time, without a second tensor `(B, K, *size)`.
            for plane, part in zip(
                torch.split(total, 1, 1), torch.split(scores, 1, 1), strict=True
            ):
                plane += resize(part, size, model.align_corners)
    assert total is not None, "there is at least one view"
    return total

"""What a network says of an image, at the resolution at which it says it, and its enlargement."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.models.winograd import Winograd

__all__ = ["Size", "compute_context", "logits", "raw_logits", "resized"]

Size = tuple[int, int]


def compute_context(
    model: EncoderDecoder, settings: InferenceSettings
) -> AbstractContextManager[Any]:
    """Return the context in which a model computes as `settings` say."""
    if settings.precision == "float32":
        return Winograd()
    device = next(model.parameters()).device.type
    # Its cache would keep a second copy of the weights until the views are through.
    return torch.autocast(device, torch.bfloat16, cache_enabled=False)


def raw_logits(model: EncoderDecoder, x: Tensor) -> Tensor:
    """Return the model's last logits `(B, K, h, w)` for `x` `(B, 3, H, W)` at the resolution at
    which it makes them.

    A segmentor or head with its own way to predict (cascades, EncHead, DAHead, Mask2Former) is
    asked in that way and answers at the size of `x`.
    """
    if x.device.type == "cpu":
        # In which 1x1 convolutions need not reorder what they get.
        x = x.contiguous(memory_format=torch.channels_last)
    plain = (
        type(model).encode_decode is EncoderDecoder.encode_decode
        and type(model.decode_head).predict is BaseDecodeHead.predict
    )
    if plain:
        output = model.decode_head(model.extract_feat(x))
        output = output[-1] if isinstance(output, list | tuple) else output
    else:
        shape = x.shape[2:]
        metas = [
            {"ori_shape": shape, "img_shape": shape, "pad_shape": shape, "padding_size": [0] * 4}
            for _ in x
        ]
        output = model.encode_decode(x, metas)
    if not bool(torch.isfinite(output).all()):
        raise UserError(
            "the model's output has NaN or infinite values",
            hint="The training has diverged; lower the learning rate and train again",
        )
    # Autocast leaves them in its format behind heads that do not care.
    scores: Tensor = output.float() if output.dtype == torch.bfloat16 else output
    return scores


def resized(scores: Tensor, size: Size, align_corners: bool) -> Tensor:
    """Return `scores` `(B, K, h, w)` at `size`, bilinearly; themselves where they have it."""
    if tuple(scores.shape[2:]) == size:
        return scores
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=align_corners)


def logits(model: EncoderDecoder, x: Tensor, size: Size) -> Tensor:
    """Return logits `(B, K, *size)` for `x` `(B, 3, H, W)`, resized once."""
    return resized(raw_logits(model, x), size, model.align_corners)

"""Streaming inference for mmseg's encoder-decoders: memory does not grow with the number of views.

Follows the official code of ISNet (SegmentationBLWX/sssegmentation, `auginference` and `inference`)
view by view; the differences are in memory and time only. mmseg's own test path resizes logits
twice and keeps the logits of every view at full size.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.errors import UserError
from isnet.evaluation.protocol import ViewSettings

__all__ = ["logits", "predict", "raw_logits", "windows"]

Size = tuple[int, int]


def raw_logits(model: EncoderDecoder, x: Tensor) -> Tensor:
    """Return the model's last logits `(B, K, h, w)` for `x` `(B, 3, H, W)` at the resolution at
    which it makes them.

    A segmentor or head with its own way to predict (cascades, EncHead, DAHead, Mask2Former) is
    asked in that way and answers at the size of `x`.
    """
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
            cure="The training has diverged; lower the learning rate and train again",
        )
    scores: Tensor = output
    return scores


def _resize(scores: Tensor, size: Size, align_corners: bool) -> Tensor:
    if tuple(scores.shape[2:]) == size:
        return scores
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=align_corners)


def logits(model: EncoderDecoder, x: Tensor, size: Size) -> Tensor:
    """Return logits `(B, K, *size)` for `x` `(B, 3, H, W)`, resized once."""
    return _resize(raw_logits(model, x), size, model.align_corners)


def windows(size: Size, crop_size: Size, stride: Size) -> list[tuple[int, int, int, int]]:
    """Return (top, bottom, left, right) of windows that cover an image; the last ones are moved
    inside, a small image is one window.
    """
    edges = []
    for length, crop, step in zip(size, crop_size, stride, strict=True):
        count = max(length - crop + step - 1, 0) // step + 1
        ends = [min(index * step + crop, length) for index in range(count)]
        edges.append([(max(end - crop, 0), end) for end in ends])
    return [(*rows, *columns) for rows in edges[0] for columns in edges[1]]


def _slide(model: EncoderDecoder, x: Tensor, settings: ViewSettings) -> Tensor:
    """Return scores `(B, K, H, W)` averaged over overlapping windows."""
    assert settings.crop_size is not None and settings.stride is not None, (
        "ViewSettings.from_config has checked it"
    )
    batch, _, height, width = x.shape
    places = windows((height, width), settings.crop_size, settings.stride)
    total = x.new_zeros((batch, model.out_channels, height, width))
    count = x.new_zeros((1, 1, height, width))
    for start in range(0, len(places), settings.windows_per_batch):
        group = places[start : start + settings.windows_per_batch]
        crops = torch.cat([x[:, :, top:bottom, left:right] for top, bottom, left, right in group])
        scores = logits(model, crops, (crops.shape[2], crops.shape[3]))
        if settings.average == "probabilities":
            scores = scores.softmax(dim=1)
        for part, (top, bottom, left, right) in zip(torch.split(scores, batch), group, strict=True):
            total[:, :, top:bottom, left:right] += part
            count[:, :, top:bottom, left:right] += 1
    return total.div_(count)


def _view_scores(model: EncoderDecoder, x: Tensor, settings: ViewSettings) -> Tensor:
    """Return the scores of one view: at the size of `x` when sliding, else at the resolution of
    the logits.
    """
    if settings.mode == "slide":
        return _slide(model, x, settings)
    scores = raw_logits(model, x)
    return scores.softmax(dim=1) if settings.average == "probabilities" else scores


def _unflip(scores: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    order = list(range(scores.shape[1]))
    for first, second in pairs:
        order[first], order[second] = second, first
    return (scores[:, order] if pairs else scores).flip(3)


def _views(model: EncoderDecoder, x: Tensor, settings: ViewSettings) -> Iterator[Tensor]:
    """Yield the scores of each view, mirrored back, one at a time."""
    for scale in settings.scales:
        # By factor, not by size: on odd sizes the official code maps coordinates by the factor.
        scaled = (
            x
            if scale == 1
            else F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        )
        yield _view_scores(model, scaled, settings)
        if settings.flip:
            yield _unflip(_view_scores(model, scaled.flip(3), settings), settings.flip_pairs)


def _best_class(scores: Tensor, size: Size, align_corners: bool) -> Tensor:
    """Return the arg-max over K of `scores` `(B, K, h, w)` resized to `size`, `(B, *size)` uint8.

    One class at a time: `(B, K, H, W)` is never made, and on a CPU it takes a third of the time of
    resize and argmax.
    """
    best = _resize(scores[:, :1], size, align_corners).clone()
    label = torch.zeros(best.shape, dtype=torch.uint8, device=scores.device)
    for index in range(1, scores.shape[1]):
        candidate = _resize(scores[:, index : index + 1], size, align_corners)
        label.masked_fill_(candidate > best, index)
        torch.maximum(best, candidate, out=best)
    return label[:, 0]


@torch.inference_mode()
def predict(model: EncoderDecoder, x: Tensor, size: Size, settings: ViewSettings) -> Tensor:
    """Return the predicted classes `(B, *size)` uint8 for the normalised `x` `(B, 3, H, W)`; `size`
    is that of the label.

    The scores of several views are resized to `size` and added up as they come.
    """
    if not 2 <= model.out_channels <= 255:
        raise UserError(
            f"the decode head has {model.out_channels} output channels; 2 to 255 can be scored",
            where="model.decode_head",
        )
    views = _views(model, x, settings)
    total = next(views)
    if len(settings.scales) > 1 or settings.flip:
        total = _resize(total, size, model.align_corners).clone()
        for scores in views:
            total += _resize(scores, size, model.align_corners)
    return _best_class(total, size, model.align_corners)

"""Computes class scores of an image in the views of test-time augmentation, and their sum.

The official views follow ISNet's code (SegmentationBLWX/sssegmentation, `auginference` and
`inference`). mmseg's views follow its `tta_pipeline` and `SegTTAModel`, which resizes logits twice
and keeps those of every view at full size (docs/reference/protocols.md): the scores are the same,
but memory and time differ.
"""

from collections.abc import Iterator

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmseg.datasets.transforms import Resize
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.image_memory import release_freed_memory
from isnet.inference.input_images import image_tensor
from isnet.inference.segmentor_logits import Size, compute_context, logits, raw_logits, resize
from isnet.inference.sliding_window import images_per_batch, sliding_window_scores


def sum_scores(model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings) -> Tensor:
    """Return the class scores `(B, K, *size)`, summed over the views of test-time augmentation.

    The scores of a single view are returned at their own resolution. Memory does not increase with
    the number of views. Raises UserError if the head has fewer than 2 or more than 255 classes.
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


def tta_scores(
    model: EncoderDecoder, x: Tensor, size: Size, settings: InferenceSettings
) -> Iterator[Tensor]:
    """Yield the class scores `(B, K, h, w)` of each view, mirrored back if the view is mirrored.

    `x`: the normalised input `(B, 3, H, W)` in the official protocol; in mmseg's protocol the
    pixels of one image `(1, 3, H, W)`, uint8 BGR. `size`: of the label. mmseg's protocol resizes
    the scores to `size`; the official protocol leaves them at the resolution of the view.
    """
    if settings.protocol == "mmseg":
        return _mmseg_views(model, x, size, settings)
    return _official_views(model, x, settings)


def _scales(settings: InferenceSettings) -> Iterator[float]:
    """Yield the scales, and release freed memory after each.

    Memory that was freed at one size cannot be reused for another.
    """
    for scale in settings.scales:
        yield scale
        if len(settings.scales) > 1:
            release_freed_memory()


def _official_views(
    model: EncoderDecoder, x: Tensor, settings: InferenceSettings
) -> Iterator[Tensor]:
    for scale in _scales(settings):
        scaled = x
        if scale != 1:  # by factor: for odd sizes the official code maps coordinates by the factor
            scaled = F.interpolate(
                x, scale_factor=scale, mode="bilinear", align_corners=model.align_corners
            )
        if not settings.flip:
            yield _official_scores(model, scaled, settings)
            continue
        inputs = [scaled, scaled.flip(3)]
        if images_per_batch(x.device, (len(x) * scaled.shape[2], scaled.shape[3])) >= 2:
            inputs = [torch.cat(inputs)]
        found = (_official_scores(model, part, settings) for part in inputs)
        views = (scores for part in found for scores in torch.split(part, len(x)))
        yield next(views)
        yield _unflip(next(views), settings.flip_pairs)


def _official_scores(model: EncoderDecoder, x: Tensor, settings: InferenceSettings) -> Tensor:
    """Compute the class scores of a view.

    Sliding windows give scores at the size of `x`, a whole image at the decoder's resolution.
    """
    if settings.mode == "slide":
        return sliding_window_scores(model, x, settings, settings.average)
    scores = raw_logits(model, x)
    return scores.softmax(dim=1) if settings.average == "probabilities" else scores


def _unflip(scores: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    order = list(range(scores.shape[1]))
    for first, second in pairs:
        order[first], order[second] = second, first
    return (scores[:, order] if pairs else scores).flip(3)


def _mmseg_views(
    model: EncoderDecoder, pixels: Tensor, size: Size, settings: InferenceSettings
) -> Iterator[Tensor]:
    """Yield the class probabilities of each view at `size`, as mmseg computes them.

    OpenCV resizes the original uint8 image, windows average logits, and logits are resized to the
    view's size and then to `size` before the softmax.
    """
    if pixels.dtype != torch.uint8 or len(pixels) != 1:
        raise ValueError("mmseg's protocol takes the uint8 pixels of one image: input_for")
    image = pixels[0].permute(1, 2, 0).numpy()
    for scale in _scales(settings):
        view = Resize(scale_factor=scale, keep_ratio=True)({"img": image})["img"]
        for mirrored in (False, True) if settings.flip else (False,):
            x = _preprocess(model, mmcv.imflip(view) if mirrored else view)
            if settings.mode == "slide":
                scores = sliding_window_scores(model, x, settings, "logits")
            else:
                scores = logits(model, x, (x.shape[2], x.shape[3]))
            scores = scores.flip(3) if mirrored else scores
            yield resize(scores, size, model.align_corners).softmax(dim=1)


def _preprocess(model: EncoderDecoder, image: np.ndarray) -> Tensor:
    """Normalise an image `(H, W, 3)` with the model's preprocessor, to a tensor `(1, 3, H, W)`."""
    pixels = image_tensor(image)[0]
    x: Tensor = model.data_preprocessor({"inputs": [pixels], "data_samples": None}, False)["inputs"]
    if x.shape[2:] != pixels.shape[1:]:
        hint = "Set data_preprocessor.test_cfg to None"
        raise UserError("padding of test images is not supported", hint=hint)
    return x.to(next(model.parameters()).dtype)

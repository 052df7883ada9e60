"""The network as it leaves torch's Python: from an image's bytes to classes, in one graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from isnet import __version__
from isnet.errors import UserError
from isnet.inference.model_loader import TrainedModel

__all__ = ["INPUT", "OUTPUTS", "SMALLEST_SIDE", "ExportedNetwork", "export_metadata"]

INPUT = "image"
OUTPUTS = ("labels", "confidence")
SMALLEST_SIDE = 16
"""Of an image, in pixels."""
_CONTRACT = {
    "input": f"{INPUT}: uint8 (N, 3, H, W), RGB, 0 to 255, as read from the file; N at least 1, H "
    f"and W at least {SMALLEST_SIDE}; nothing is to be resized, normalised or padded before",
    "outputs": f"{OUTPUTS[0]}: uint8 (N, H, W), indices into classes and palette; {OUTPUTS[1]}: "
    "float32 (N, H, W), the probability of that class",
}


class ExportedNetwork(nn.Module):
    """Resizes, normalises, looks once at the whole image, enlarges, and chooses.

    What is done is what the single-scale evaluation does with whole images, in operations that
    exporters know: no size is fixed, no value is asked for.

    Raises:
        UserError: the model does something that this graph cannot.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        network, where = model.network, str(model.file)
        _refuse_own_ways(network, where)
        self.network = network
        self.align_corners: bool = network.align_corners
        self.boxes = [_box_of(step, where) for step in model.description.resize]
        self.probabilities = model.protocol.single_scale.average == "probabilities"
        preprocessor = network.data_preprocessor
        self.reversed = not preprocessor._channel_conversion  # without it, the network takes BGR
        known = preprocessor._enable_normalize
        self.register_buffer("mean", _channels(preprocessor.mean if known else torch.zeros(3)))
        self.register_buffer("std", _channels(preprocessor.std if known else torch.ones(3)))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map `image` `(N, 3, H, W)` uint8 RGB to labels uint8 and confidence float32, both
        `(N, H, W)`.
        """
        x = image.to(torch.float32)
        for box, keep_ratio in self.boxes:
            size = _fitted(x.shape[2], x.shape[3], box) if keep_ratio else box
            # As bytes, which is what the evaluation's own resize returns.
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False).round()
        x = x.flip(1) if self.reversed else x
        scores = self._scores((x - self.mean) / self.std)
        if self.probabilities:
            scores = scores.softmax(dim=1)
        size = (image.shape[2], image.shape[3])
        scores = F.interpolate(scores, size=size, mode="bilinear", align_corners=self.align_corners)
        sure = scores if self.probabilities else scores.softmax(dim=1)
        return scores.argmax(dim=1).to(torch.uint8), sure.amax(dim=1)

    def _scores(self, x: Tensor) -> Tensor:
        output = self.network.decode_head(self.network.extract_feat(x))
        scores: Tensor = output[-1] if isinstance(output, list | tuple) else output
        return scores


def export_metadata(model: TrainedModel) -> dict[str, str]:
    """Return what an exported file says of itself: what it takes and gives, its classes and
    colours, and where it is from. Values other than text are JSON.
    """
    description = model.description
    return {
        **_CONTRACT,
        "classes": json.dumps(description.classes, ensure_ascii=False),
        "palette": json.dumps(description.palette),
        "resize": json.dumps(description.resize),
        "evaluation": json.dumps(description.evaluation),
        "provenance": json.dumps(description.provenance, ensure_ascii=False),
        "weights_sha256": model.sha256,
        "isnet": __version__,
    }


def _refuse_own_ways(network: EncoderDecoder, where: str) -> None:
    head = network.decode_head
    plain = (
        type(network).encode_decode is EncoderDecoder.encode_decode
        and isinstance(head, BaseDecodeHead)
        and type(head).predict is BaseDecodeHead.predict
    )
    if not plain:
        raise UserError(
            f"{type(network).__name__} with {type(head).__name__} predicts in a way of its own, "
            "which is not exported",
            where=where,
            hint="Export it with mmseg's own tools",
        )
    if network.data_preprocessor.test_cfg:
        hint = "Set data_preprocessor.test_cfg to None"
        raise UserError("padding of images is not supported", where=where, hint=hint)
    if not 2 <= network.out_channels <= 255:
        raise UserError(f"{network.out_channels} classes; 2 to 255 can be exported", where=where)


def _box_of(step: Mapping[str, Any], where: str) -> tuple[tuple[int, int], bool]:
    """Return the (width, height) or (long, short) sides of a `Resize`, as (height, width) where the
    ratio is not kept, and whether it is.
    """
    scale: Sequence[int] | None = step.get("scale")
    if step["type"] != "Resize" or scale is None or step.keys() - {"type", "scale", "keep_ratio"}:
        raise UserError(
            f"prepares images by {step['type']} with "
            f"{', '.join(sorted(step.keys() - {'type'}))}, which is not exported",
            where=where,
            hint="Resize with scale and keep_ratio is",
        )
    if step.get("keep_ratio", False):
        return (max(scale), min(scale)), True
    return (scale[1], scale[0]), False


def _fitted(height: int, width: int, box: tuple[int, int]) -> tuple[int, int]:
    """Return the size of an image made as large as its long and short side fit into `box` (long,
    short): that of mmcv's `rescale_size`, in whole numbers, which an exporter keeps exact.
    """
    long, short = torch.sym_max(height, width), torch.sym_min(height, width)

    def side(length: int) -> int:
        by_long = (2 * length * box[0] + long) // (2 * long)
        by_short = (2 * length * box[1] + short) // (2 * short)
        return cast("int", torch.sym_min(by_long, by_short))

    return side(height), side(width)


def _channels(values: Tensor) -> Tensor:
    return values.detach().to(torch.float32).reshape(1, -1, 1, 1).clone()

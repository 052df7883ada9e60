"""ISNet's image-level and semantic-level context modules (arXiv 2108.12382)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isnet.models.attention import ClassAttention, ImageAttention
from isnet.models.conv_block import BlockFactory
from isnet.models.float32 import at_least_float32

__all__ = ["ImageLevelContext", "SemanticLevelContext", "class_centres"]


class ImageLevelContext(nn.Module):
    """Adds to each position what the whole image looks like.

    `concat_input` fuses the context with the features by a 3x3 convolution; without it, the output
    is the context alone.
    """

    def __init__(
        self, channels: int, transform_channels: int, block: BlockFactory, concat_input: bool = True
    ) -> None:
        super().__init__()
        self.correlate_net = ImageAttention(channels, 2 * channels, transform_channels, block)
        self.bottleneck = block(2 * channels, channels, 3) if concat_input else None

    def forward(self, feats: Tensor) -> Tensor:
        """Map `feats` `(B, C, H, W)` to features with image-level context, same shape."""
        context: Tensor = self.correlate_net(feats, feats.mean((2, 3), keepdim=True))
        if self.bottleneck is None:
            return context
        fused: Tensor = self.bottleneck(torch.cat([feats, context], dim=1))
        return fused


class SemanticLevelContext(nn.Module):
    """Adds to each position what the classes look like that stage 1 sees in the image.

    `concat_input` fuses the context with the image-level features by a 3x3 convolution; without it,
    the output is the context alone.
    """

    def __init__(
        self, channels: int, transform_channels: int, block: BlockFactory, concat_input: bool = True
    ) -> None:
        super().__init__()
        self.correlate_net = ClassAttention(channels, channels, transform_channels, block)
        self.bottleneck = block(2 * channels, channels, 3) if concat_input else None

    def forward(self, feats: Tensor, logits: Tensor, feats_il: Tensor) -> Tensor:
        """Map `feats` and `feats_il` `(B, C, H, W)` to features with semantic-level context.

        `logits` `(B, K, H, W)` of stage 1 choose and weight the members of each class.
        """
        context: Tensor = self.correlate_net(feats, *class_centres(feats, logits))
        if self.bottleneck is None:
            return context
        fused: Tensor = self.bottleneck(torch.cat([feats_il, context], dim=1))
        return fused


def class_centres(feats: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Average `feats` `(B, C, H, W)` per class: centres `(B, K, C)` and counts `(B, K)`.

    A position belongs to the class of its largest logit; its weight is the softmax of that logit
    over the members of the class. A class without members has centre 0 and count 0. Computed, and
    returned, in float32 at least, also under autocast.
    """
    with torch.autocast(feats.device.type, enabled=False):
        scores = at_least_float32(logits.flatten(2))
        classes = torch.arange(scores.shape[1], device=scores.device)
        members = scores.argmax(1, keepdim=True) == classes[:, None]
        # Dense over (B, K, N), the size of the logits: no loop, no host synchronisation, and no
        # atomics, hence deterministic. The lowest finite number instead of -inf, because the
        # softmax of a class without members must not be NaN.
        weights = scores.masked_fill(~members, torch.finfo(scores.dtype).min).softmax(dim=2)
        positions = at_least_float32(feats.flatten(2)).transpose(1, 2)
        return (weights * members) @ positions, members.sum(2).to(scores.dtype)

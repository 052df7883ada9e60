"""ISNet's image-level and semantic-level context modules (arXiv 2108.12382)."""

import torch
from torch import Tensor, nn

from isnet.models.attention import Attention, ClassAttention, ImageAttention
from isnet.models.conv_block import BlockFactory
from isnet.models.float32 import at_least_float32


class _ContextModule(nn.Module):
    """Base class of the context modules: an attention, and a 3x3 convolution that fuses its output.

    Without `concat_input` there is no convolution, and the output is the context alone. With
    `residual` the convolution has no activation, and its output is added to the features; its norm
    starts at scale 0, so that the output starts as the features. `gamma` is the first scale of the
    norm of the context.
    """

    attention: type[Attention]
    key_maps: int
    """Number of maps of C channels from which keys and values are projected."""

    def __init__(
        self,
        channels: int,
        transform_channels: int,
        block: BlockFactory,
        *,
        concat_input: bool = True,
        residual: bool = False,
        gamma: float = 1.0,
    ) -> None:
        super().__init__()
        key_channels = self.key_maps * channels
        self.correlate_net = self.attention(channels, key_channels, transform_channels, block)
        nn.init.constant_(self.correlate_net.out_project.bn.weight, gamma)
        self.bottleneck = block(2 * channels, channels, 3) if concat_input else None
        self.residual = residual
        if residual and self.bottleneck is not None:
            self.bottleneck.activate = nn.Identity()
            nn.init.zeros_(self.bottleneck.bn.weight)

    def _fuse(self, feats: Tensor, context: Tensor) -> Tensor:
        if self.bottleneck is None:
            return context
        fused: Tensor = self.bottleneck(torch.cat([feats, context], dim=1))
        return feats + fused if self.residual else fused


class ImageLevelContext(_ContextModule):
    """Image-level context module: augments each position with the context of the whole image.

    Args:
        channels: channels of the features (C).
        transform_channels: channels of query, key and value (D).
        block: makes a convolution block.
        concat_input: whether a convolution fuses the context with the features.
        residual: whether the fused map is added to the features, and starts at 0.
        gamma: scale at which the batch norm of the context starts.
    """

    attention, key_maps = ImageAttention, 2

    def forward(self, feats: Tensor) -> Tensor:
        """Augment features `(B, C, H, W)` with image-level context, in the same shape."""
        return self._fuse(feats, self.correlate_net(feats, feats.mean((2, 3), keepdim=True)))


class SemanticLevelContext(_ContextModule):
    """Semantic-level context module: augments each position with the centres of predicted classes.

    Stage 1 predicts the classes. Arguments are those of `ImageLevelContext`; the context is fused
    with the image-level features.
    """

    attention, key_maps = ClassAttention, 1

    def forward(self, feats: Tensor, logits: Tensor, feats_il: Tensor) -> Tensor:
        """Augment features with semantic-level context, in the same shape `(B, C, H, W)`.

        Stage-1 `logits` `(B, K, H, W)` assign positions to classes. `feats_il` `(B, C, H, W)` are
        the features with image-level context.
        """
        context = self.correlate_net(feats, *class_centres(feats, logits))
        return self._fuse(feats_il, context)


def class_centres(feats: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the centre `(B, K, C)` and the number of positions `(B, K)` of each class.

    A centre is a weighted mean of `feats` `(B, C, H, W)`. A position belongs to the class of its
    largest logit (`logits` `(B, K, H, W)`), and its weight is the softmax of that logit over the
    positions of the class. A class without positions has centre 0. Computed in float32 at least,
    also under autocast.
    """
    with torch.autocast(feats.device.type, enabled=False):
        scores = at_least_float32(logits.flatten(2))
        classes = torch.arange(scores.shape[1], device=scores.device)
        members = scores.argmax(1, keepdim=True) == classes[:, None]
        # Dense over (B, K, N): no loop, no host synchronisation, no atomics, hence deterministic.
        # The lowest finite number instead of -inf: the softmax of an empty class must not be NaN.
        weights = scores.masked_fill(~members, torch.finfo(scores.dtype).min).softmax(dim=2)
        positions = at_least_float32(feats.flatten(2)).transpose(1, 2)
        return (weights * members) @ positions, members.sum(2).to(scores.dtype)

"""The head as the public implementations compute it, from mmseg's own attention and blocks.

Every position is a key of its own, attention maps are N x N, images and classes are looped over;
each class is cut out of the features by its mask and written back by it. Parameter names are those
of `ISNetHead`. Without the defects that keep mmsegmentation's `projects/isnet` from training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.utils import SelfAttentionBlock
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["PublicHead"]

_STYLE: dict[str, Any] = {"norm_cfg": {"type": "BN"}, "act_cfg": {"type": "ReLU"}}


def _attention(key_channels: int, channels: int, transform: int) -> SelfAttentionBlock:
    return SelfAttentionBlock(
        key_in_channels=key_channels,
        query_in_channels=channels,
        channels=transform,
        out_channels=channels,
        share_key_query=False,
        query_downsample=None,
        key_downsample=None,
        key_query_num_convs=2,
        value_out_num_convs=1,
        key_query_norm=True,
        value_out_norm=True,
        matmul_norm=True,
        with_out=True,
        conv_cfg=None,
        **_STYLE,
    )


class _Context(nn.Module):
    def __init__(self, key_channels: int, channels: int, transform: int, residual: bool) -> None:
        super().__init__()
        self.correlate_net = _attention(key_channels, channels, transform)
        style = _STYLE | {"act_cfg": None} if residual else _STYLE
        self.bottleneck = ConvModule(2 * channels, channels, 3, padding=1, **style)
        self.residual = residual

    def forward(self, feats: Tensor, keys: Tensor, beside: Tensor) -> Tensor:
        context = self.correlate_net(feats, keys)
        fused: Tensor = self.bottleneck(torch.cat([beside, context], dim=1))
        return beside + fused if self.residual else fused


class PublicHead(nn.Module):
    """Backbone maps `(B, C_i, H, W)` to stage-1 and stage-2 logits `(B, K, H, W)`.

    Args:
        in_channels: channels of the last map.
        channels: channels of the head.
        transform: channels of query, key and value.
        num_classes: classes.
        shortcut: channels of the first map, and what they are reduced to; None for no shortcut.
        residual: whether the fused map is added to its input.
        dropout: share of channels dropped before each classifier.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        transform: int,
        num_classes: int,
        shortcut: tuple[int, int] | None = None,
        residual: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.bottleneck = ConvModule(in_channels, channels, 3, padding=1, **_STYLE)
        self.ilc_net = _Context(2 * channels, channels, transform, residual)
        self.slc_net = _Context(channels, channels, transform, residual)
        classifier = nn.Conv2d(channels, num_classes, 1)
        block = ConvModule(channels, channels, 1, **_STYLE)
        self.decoder_stage1 = nn.Sequential(block, nn.Dropout2d(dropout), classifier)
        self.shortcut, stage2 = None, []
        if shortcut:
            self.shortcut = ConvModule(*shortcut, 1, bias=True, **_STYLE)
            stage2 = [ConvModule(channels + shortcut[1], channels, 1, **_STYLE)]
        last = nn.Conv2d(channels, num_classes, 1)
        self.decoder_stage2 = nn.Sequential(*stage2, nn.Dropout2d(dropout), last)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Read the last map, and with a shortcut the first."""
        feats = self.bottleneck(maps[-1])
        image = feats.mean((2, 3), keepdim=True).expand_as(feats)
        feats_il = self.ilc_net(feats, torch.cat([image, feats], dim=1), feats)
        stage1 = self.decoder_stage1(feats)
        feats_sl = self.slc_net(feats, _spread_centres(feats, stage1), feats_il)
        if self.shortcut is not None:
            first = self.shortcut(maps[0])
            feats_sl = F.interpolate(feats_sl, first.shape[2:], mode="bilinear")
            feats_sl = torch.cat([feats_sl, first], dim=1)
        return stage1, self.decoder_stage2(feats_sl)


def _spread_centres(feats: Tensor, logits: Tensor) -> Tensor:
    """Return a map `(B, C, H, W)` with the centre of its class at each position."""
    batch, channels, height, width = feats.shape
    spread = feats.new_zeros(batch, height * width, channels)
    for image in range(batch):
        rows = feats[image].flatten(1).T
        scores = logits[image].flatten(1).T
        winner = scores.argmax(1)
        for label in range(scores.shape[1]):
            mask = winner == label
            if mask.sum() == 0:
                continue
            weights = torch.softmax(scores[:, label][mask], dim=0)
            spread[image][mask] = (rows[mask] * weights[:, None]).sum(0).to(spread.dtype)
    return spread.transpose(1, 2).reshape(batch, channels, height, width).contiguous()

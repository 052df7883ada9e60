"""ISNet's head as the paper writes it (arXiv 2108.12382), slow and plain on purpose.

Every position is expanded, images and classes are looped over. Parameter names are those of
`ISNetHead`, so that weights can be copied between the two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Convolution ("same" padding), batch norm, activation."""

    def __init__(
        self, cin: int, cout: int, kernel: int = 1, bias: bool = False, slope: float = 0.0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, padding=kernel // 2, bias=bias)
        self.bn = nn.BatchNorm2d(cout)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.bn(self.conv(x)), self.slope)


class SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(D)) V with the N x N map written out."""

    def __init__(self, query_channels: int, key_channels: int, d: int, slope: float) -> None:
        super().__init__()
        self.key_project = nn.Sequential(
            Block(key_channels, d, slope=slope), Block(d, d, slope=slope)
        )
        self.query_project = nn.Sequential(
            Block(query_channels, d, slope=slope), Block(d, d, slope=slope)
        )
        self.value_project = Block(key_channels, d, slope=slope)
        self.out_project = Block(d, query_channels, slope=slope)

    def forward(self, query_source: Tensor, key_source: Tensor) -> Tensor:
        b, _, h, w = query_source.shape
        query = self.query_project(query_source).flatten(2)
        key = self.key_project(key_source).flatten(2)
        value = self.value_project(key_source).flatten(2)
        similarity = torch.einsum("bdi,bdj->bij", query, key) / query.shape[1] ** 0.5
        context = torch.einsum("bij,bdj->bdi", similarity.softmax(-1), value)
        return self.out_project(context.reshape(b, -1, h, w))


class Context(nn.Module):
    """One of the two context modules: an attention, and a 3x3 convolution that fuses."""

    def __init__(
        self, channels: int, key_channels: int, d: int, slope: float, concat_input: bool
    ) -> None:
        super().__init__()
        self.correlate_net = SelfAttention(channels, key_channels, d, slope)
        self.bottleneck = Block(2 * channels, channels, 3, slope=slope) if concat_input else None

    def forward(self, query_source: Tensor, key_source: Tensor, beside: Tensor) -> Tensor:
        context = self.correlate_net(query_source, key_source)
        return self.bottleneck(torch.cat([beside, context], 1)) if self.bottleneck else context


def class_centres(feats: Tensor, logits: Tensor) -> Tensor:
    """Put at each position its class centre: the members' feats, weighted by softmax of logits."""
    centres = torch.zeros_like(feats).flatten(2)
    for image in range(len(feats)):
        x, scores = feats[image].flatten(1), logits[image].flatten(1)
        winner = scores.argmax(0)
        for label in range(len(scores)):
            member = winner == label
            if member.any():
                weight = scores[label, member].softmax(0)
                centres[image, :, member] = (x[:, member] * weight).sum(1, keepdim=True)
    return centres.reshape(feats.shape)


class ReferenceHead(nn.Module):
    """The whole head; dropout is left out, tests switch it off in `ISNetHead` too."""

    def __init__(
        self,
        in_channels: tuple[int, ...],
        channels: int,
        d: int,
        num_classes: int,
        *,
        with_shortcut: bool = False,
        shortcut_feat_channels: int = 48,
        image_level: bool = True,
        semantic_level: bool = True,
        concat_input: bool = True,
        slope: float = 0.0,
    ) -> None:
        super().__init__()

        def block(*args: Any, **kwargs: Any) -> Block:
            return Block(*args, **kwargs, slope=slope)

        self.bottleneck = block(in_channels[-1], channels, 3)
        rest = (d, slope, concat_input)
        self.ilc_net = Context(channels, 2 * channels, *rest) if image_level else None
        self.slc_net = Context(channels, channels, *rest) if semantic_level else None
        self.decoder_stage1 = nn.Sequential(
            block(channels, channels), nn.Identity(), nn.Conv2d(channels, num_classes, 1)
        )
        self.shortcut = (
            block(in_channels[0], shortcut_feat_channels, bias=True) if with_shortcut else None
        )
        stage2: list[nn.Module] = [nn.Identity(), nn.Conv2d(channels, num_classes, 1)]
        if with_shortcut:
            stage2 = [block(channels + shortcut_feat_channels, channels), *stage2]
        self.decoder_stage2 = nn.Sequential(*stage2)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        feats = self.bottleneck(maps[-1])
        stage1 = self.decoder_stage1(feats)
        out = feats
        if self.ilc_net is not None:
            image = feats.mean((2, 3), keepdim=True).expand_as(feats)
            out = self.ilc_net(feats, torch.cat([image, feats], 1), feats)
        if self.slc_net is not None:
            out = self.slc_net(feats, class_centres(feats, stage1), out)
        if self.shortcut is not None:
            low = self.shortcut(maps[0])
            out = F.interpolate(out, size=low.shape[2:], mode="bilinear", align_corners=False)
            out = torch.cat([out, low], 1)
        return stage1, self.decoder_stage2(out)

"""Attention of ISNet's context modules: over positions, and over classes that stand for them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isnet.models.conv_block import BlockFactory, ConvBlock
from isnet.models.float32 import at_least_float32

__all__ = ["Attention", "ClassAttention", "ImageAttention"]


class Attention(nn.Module):
    """The projections that both attentions share, under the public parameter names.

    Query and key: two blocks to `channels` (D); value: one; output: one back to `query_channels`.
    """

    def __init__(
        self, query_channels: int, key_channels: int, channels: int, block: BlockFactory
    ) -> None:
        super().__init__()
        self.key_project = nn.Sequential(block(key_channels, channels), block(channels, channels))
        self.query_project = nn.Sequential(
            block(query_channels, channels), block(channels, channels)
        )
        self.value_project = block(key_channels, channels)
        self.out_project = block(channels, query_channels)

    @property
    def key_blocks(self) -> tuple[ConvBlock, ConvBlock]:
        """The two blocks of the key projection."""
        first, second = self.key_project
        return cast("ConvBlock", first), cast("ConvBlock", second)


class ImageAttention(Attention):
    """Attention of every position over every position, whose sources are `(image, feats)`."""

    def forward(self, feats: Tensor, image: Tensor) -> Tensor:
        """Return the image-level context `(B, C, H, W)` of `feats` `(B, C, H, W)`.

        `image` `(B, C, 1, 1)` is put before the features of every position in the key and value
        sources. The N x N attention map (N = H*W) is not stored where torch has a fused kernel.
        """
        first, second = self.key_blocks
        query = _tokens(self.query_project(feats))
        key = _tokens(second(first.forward_with_constant(image, feats)))
        value = _tokens(self.value_project.forward_with_constant(image, feats))
        # One head of size D, hence torch's default scale D^-0.5 is the paper's.
        context = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])
        out: Tensor = self.out_project(_map(context[:, 0], feats))
        return out


class ClassAttention(Attention):
    """Attention of every position over the class centres, each for all positions of its class.

    With K distinct keys, `softmax_j(q.key_j) @ value` over N positions is
    `softmax_k(q.key_k + log n_k) @ value_k`: O(N*K) in place of O(N*N), and exact, since the
    projections' batch norms count class `k` as `n_k` positions.
    """

    def forward(self, feats: Tensor, centres: Tensor, counts: Tensor) -> Tensor:
        """Return the semantic-level context `(B, C, H, W)` of `feats` `(B, C, H, W)`.

        `centres` `(B, K, C)` are the class centres, `counts` `(B, K)` the number of positions of
        each class, 0 where it is absent.
        """
        key, value = self._project(centres, counts)
        query = _tokens(self.query_project(feats))
        weights = _class_weights(query, key, counts).to(value.dtype)
        # The output convolution is linear: it may act on K values instead of on N positions.
        conv = self.out_project.conv
        context = weights @ F.linear(value, conv.weight.flatten(1), conv.bias)
        return self.out_project.normalise(_map(context, feats))

    def _project(self, centres: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Project the centres `(B, K, C)` to keys and values `(B, K, D)`."""
        rows, occurrences = centres.flatten(0, 1), counts.flatten()
        key = rows
        for block in self.key_blocks:
            key = block.forward_rows(key, occurrences)
        value = self.value_project.forward_rows(rows, occurrences)
        return key.reshape(*counts.shape, -1), value.reshape(*counts.shape, -1)


def _class_weights(query: Tensor, key: Tensor, counts: Tensor) -> Tensor:
    """Return the softmax `(B, N, K)` of `query` `(B, N, D)` on `key` `(B, K, D)`, in float32 at
    least: confident scores leave float16's range.
    """
    with torch.autocast(query.device.type, enabled=False):
        key = at_least_float32(key) * key.shape[2] ** -0.5
        # log 0 = -inf: an absent class gets no weight at all.
        bias = at_least_float32(counts).log()[:, None]
        scores = torch.baddbmm(bias, at_least_float32(query), key.transpose(1, 2))
        return scores.softmax(-1)


def _tokens(x: Tensor) -> Tensor:
    """Turn a map `(B, C, H, W)` into tokens `(B, N, C)`.

    Contiguous, because torch's fused CPU kernel is not taken otherwise.
    """
    return x.flatten(2).transpose(1, 2).contiguous()


def _map(tokens: Tensor, like: Tensor) -> Tensor:
    """Turn tokens `(B, N, C)` into a map with the size and the memory format of `like`."""
    x = tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *like.shape[2:])
    if like.is_contiguous(memory_format=torch.channels_last):
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()

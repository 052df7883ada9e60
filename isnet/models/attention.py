"""Attention layers of ISNet's context modules: over all positions, and over class centres."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from isnet.models.conv_block import BlockFactory, ConvBlock
from isnet.models.float32 import at_least_float32


class Attention(nn.Module):
    """Base class of both attention layers: the projections of queries, keys, values and output.

    Parameter names are those of the public implementations.

    Args:
        query_channels: channels of the queries, and of the output (C).
        key_channels: channels of the source of keys and values.
        channels: channels of projected queries, keys and values (D).
        block: makes a convolution block.
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
    """Image-level attention: every position attends to every position."""

    def forward(self, feats: Tensor, image: Tensor) -> Tensor:
        """Compute the image-level context `(B, C, H, W)` of `feats` `(B, C, H, W)`.

        Keys and values are projected from `image`, the mean features `(B, C, 1, 1)`, concatenated
        with `feats` at each position. The N x N attention map (N = H*W) is not stored if torch has
        a fused kernel.
        """
        first, second = self.key_blocks
        query = _tokens(self.query_project(feats))
        key = _tokens(second(first.forward_with_constant(image, feats)))
        value = _tokens(self.value_project.forward_with_constant(image, feats))
        # With one head of size D, torch's default scale is the paper's, D^-0.5.
        context = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])
        out: Tensor = self.out_project(_map(context[:, 0], feats))
        return out


class ClassAttention(Attention):
    """Semantic-level attention: every position attends to the class centres.

    In the paper the key of every position is the centre of its class, so that only K keys are
    distinct for K classes. `softmax_j(q.key_j) @ value` over N positions then equals
    `softmax_k(q.key_k + log n_k) @ value_k` over K classes with `n_k` positions. This takes O(N*K)
    instead of O(N*N). It is exact because the batch norms of the projections count class `k` `n_k`
    times.
    """

    def forward(self, feats: Tensor, centres: Tensor, counts: Tensor) -> Tensor:
        """Compute the semantic-level context `(B, C, H, W)` of `feats` `(B, C, H, W)`.

        `centres` `(B, K, C)` are the class centres, `counts` `(B, K)` the number of positions of
        each class; 0 for an absent class.
        """
        rows, occurrences = centres.flatten(0, 1), counts.flatten()
        key = rows
        for block in self.key_blocks:
            key = block.forward_rows(key, occurrences)
        value = self.value_project.forward_rows(rows, occurrences)
        key, value = (one.reshape(*counts.shape, -1) for one in (key, value))
        query = _tokens(self.query_project(feats))
        weights = _class_weights(query, key, counts).to(value.dtype)
        # The output convolution is linear, so it can act on K values instead of N positions.
        conv = self.out_project.conv
        context = weights @ F.linear(value, conv.weight.flatten(1), conv.bias)
        return self.out_project.normalise(_map(context, feats))


def _class_weights(query: Tensor, key: Tensor, counts: Tensor) -> Tensor:
    """Compute the weights `(B, N, K)` of N positions over K classes that occur `counts` times."""
    with torch.autocast(query.device.type, enabled=False):  # confident scores leave float16's range
        key = at_least_float32(key) * key.shape[2] ** -0.5
        # log 0 = -inf: an absent class gets weight 0.
        bias = at_least_float32(counts).log()[:, None]
        scores = torch.baddbmm(bias, at_least_float32(query), key.transpose(1, 2))
        return scores.softmax(-1)


def _tokens(x: Tensor) -> Tensor:
    """Flatten a map `(B, C, H, W)` to tokens `(B, N, C)`, contiguous for torch's fused kernel."""
    return x.flatten(2).transpose(1, 2).contiguous()


def _map(tokens: Tensor, like: Tensor) -> Tensor:
    """Reshape tokens `(B, N, C)` to a map with the size and memory format of `like`."""
    x = tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *like.shape[2:])
    # An exporter cannot tell for sizes that it does not know.
    exporting = torch.compiler.is_exporting()
    if not exporting and like.is_contiguous(memory_format=torch.channels_last):
        return x.contiguous(memory_format=torch.channels_last)
    return x.contiguous()

"""Convolution blocks with shortcuts for constant inputs and repeated rows, and the classifier."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from isnet.models.batch_norm import batch_norm, counted_batch_norm
from isnet.models.float32 import at_least_float32


class ConvBlock(nn.Module):
    """Convolution, batch norm and activation, with the parameter names of mmcv's `ConvModule`.

    Weights keep PyTorch's default initialisation, as in the official code; `ConvModule` uses
    Kaiming-normal.
    """

    def __init__(self, conv: nn.Conv2d, norm: _BatchNorm, activation: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.bn = norm
        self.activate = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map features `(B, Cin, H, W)` to `(B, Cout, H, W)`."""
        return self.normalise(self.conv(x))

    def normalise(self, x: Tensor) -> Tensor:
        """Apply only the batch norm and the activation to `x` `(B, Cout, H, W)`."""
        y: Tensor = self.activate(batch_norm(x, self.bn))
        return y

    def forward_with_constant(self, constant: Tensor, x: Tensor) -> Tensor:
        """Compute `forward(cat([constant, x], dim=1))` of a 1x1 convolution at the cost of `x`.

        `constant` `(B, C1, 1, 1)` is broadcast to every position of `x` `(B, C2, H, W)`.
        """
        split = constant.shape[1]
        weight = self.conv.weight
        of_constant = F.conv2d(constant, weight[:, :split], self.conv.bias)
        return self.normalise(F.conv2d(x, weight[:, split:]) + of_constant)

    def forward_rows(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Apply the block to a map in which row `r` of `rows` occurs `counts[r]` times.

        The convolution must be 1x1. `rows` `(R, Cin)` become `(R, Cout)`; `counts` is `(R,)`.
        """
        weight = self.conv.weight.flatten(1)
        x = F.linear(rows.to(weight.dtype), weight, self.conv.bias)
        y: Tensor = self.activate(counted_batch_norm(x, counts, self.bn))
        return y


class BlockFactory(Protocol):
    """Makes a block with the norm and activation of a head; the block keeps the size of the map."""

    def __call__(self, in_channels: int, out_channels: int, kernel_size: int = 1) -> ConvBlock:
        """Return a new block."""


class Classifier(nn.Conv2d):
    """1x1 convolution from features to logits, in float32 also under autocast.

    Arg-max and losses need the precision, and confident logits leave float16's range. The few
    output channels cost little.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__(channels, num_classes, 1)
        self.bias: nn.Parameter  # never None

    def forward(self, feats: Tensor) -> Tensor:
        """Map features `(B, C, H, W)` to the logits of K classes, `(B, K, H, W)`."""
        with torch.autocast(feats.device.type, enabled=False):
            weight, bias = at_least_float32(self.weight), at_least_float32(self.bias)
            return F.conv2d(at_least_float32(feats), weight, bias)

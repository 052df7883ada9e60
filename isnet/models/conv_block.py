"""Convolution, batch norm, activation: on maps, on a constant beside a map, on counted rows."""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["BlockFactory", "ConvBlock", "at_least_float32", "counted_batch_norm"]


class ConvBlock(nn.Module):
    """`activate(bn(conv(x)))`, with the parameter names of mmcv's `ConvModule`: `conv`, `bn`.

    Weights keep PyTorch's default initialisation, as in the official code (`ConvModule` would start
    from Kaiming-normal).
    """

    def __init__(self, conv: nn.Conv2d, norm: _BatchNorm, activation: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.bn = norm
        self.activate = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, Cin, H, W)` to `(B, Cout, H, W)`."""
        return self.normalise(self.conv(x))

    def normalise(self, x: Tensor) -> Tensor:
        """Apply norm and activation to `x` `(B, Cout, H, W)`, convolved elsewhere."""
        y: Tensor = self.activate(self.bn(x))
        return y

    def forward_with_constant(self, constant: Tensor, x: Tensor) -> Tensor:
        """Equal `forward(cat([constant, x], dim=1))` for a 1x1 convolution, at the cost of `x`.

        `constant` `(B, C1, 1, 1)` is the same at every position of `x` `(B, C2, H, W)`; the
        convolution takes `C1 + C2` channels.
        """
        split = constant.shape[1]
        weight = self.conv.weight
        of_constant = F.conv2d(constant, weight[:, :split], self.conv.bias)
        return self.normalise(F.conv2d(x, weight[:, split:]) + of_constant)

    def forward_rows(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Equal `forward` on a map in which row `r` of `rows` `(R, Cin)` occurs `counts[r]` times.

        For a 1x1 convolution; returns one row `(R, Cout)` for all occurrences.
        """
        x = F.linear(rows, self.conv.weight.flatten(1), self.conv.bias)
        y: Tensor = self.activate(counted_batch_norm(x, counts, self.bn))
        return y


class BlockFactory(Protocol):
    """Makes a `ConvBlock` that keeps the map's size; the head decides on norm and activation."""

    def __call__(self, in_channels: int, out_channels: int, kernel_size: int = 1) -> ConvBlock:
        """Return a new block."""
        ...


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x` in float32 where it is bfloat16 or float16, else as it is (float64 stays)."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def counted_batch_norm(rows: Tensor, counts: Tensor, norm: _BatchNorm) -> Tensor:
    """Batch-normalise `rows` `(R, C)` as if row `r` stood `counts[r]` times in the batch.

    Uses and updates `norm` as `norm` itself would on the expanded batch: biased variance for
    normalising, unbiased for the running one, statistics of all ranks where it is a
    `SyncBatchNorm`. A row with count 0 has no say; `counts` is `(R,)`.
    """
    with torch.autocast(rows.device.type, enabled=False):
        values = at_least_float32(rows)
        mean, variance = norm.running_mean, norm.running_var
        if norm.training or mean is None or variance is None:
            mean, variance, total = _counted_statistics(values, counts.to(values.dtype), norm)
            if norm.training and norm.track_running_stats:
                _update_running(norm, mean, variance, total)
        y = (values - mean) * torch.rsqrt(variance + norm.eps)
        if norm.affine:
            y = y * norm.weight + norm.bias
    return y.to(rows.dtype)


def _counted_statistics(
    values: Tensor, counts: Tensor, norm: _BatchNorm
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean `(C,)`, biased variance `(C,)` and number `()` of values, over all ranks."""
    total = counts.sum()
    mean = (counts @ values) / total
    squares = counts @ (values - mean).square()
    group = _sync_group(norm)
    if group is None:
        return mean, squares / total, total
    # One row per rank, combined as Chan et al. (1979) do: a plain sum of squares would cancel.
    local = torch.cat([total[None], mean, squares])
    ranks = local.new_zeros(dist.get_world_size(group), local.numel())
    ranks[dist.get_rank(group)] = local
    ranks = _SumOverRanks.apply(ranks, group)
    totals, means, squares = ranks.split([1, mean.numel(), mean.numel()], dim=1)
    total = totals.sum()
    mean = (totals * means).sum(0) / total
    squares = (squares + totals * (means - mean).square()).sum(0)
    return mean, squares / total, total


def _sync_group(norm: _BatchNorm) -> Any:
    """Return the process group that shares statistics, None where there is none (as torch does)."""
    if not isinstance(norm, nn.SyncBatchNorm) or not norm.training:
        return None
    if not (dist.is_available() and dist.is_initialized()):
        return None
    group = norm.process_group or dist.group.WORLD
    return group if dist.get_world_size(group) > 1 else None


@torch.no_grad()
def _update_running(norm: _BatchNorm, mean: Tensor, variance: Tensor, total: Tensor) -> None:
    """Move the running statistics of `norm` towards those of this batch."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    # momentum None is torch's cumulative average; as a tensor, the count stays on the device.
    share = 1 / norm.num_batches_tracked.to(mean.dtype) if norm.momentum is None else norm.momentum
    unbiased = variance * (total / (total - 1))
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), share)


class _SumOverRanks(torch.autograd.Function):
    """Differentiable all-reduce: the losses of all ranks depend on this rank's addend.

    `torch.distributed.nn.all_reduce` does the same, but torch 2.14 warns that it is deprecated.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return _all_reduced(x, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _all_reduced(grad, ctx.group), None


def _all_reduced(x: Tensor, group: Any) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total

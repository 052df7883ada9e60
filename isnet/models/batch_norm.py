"""Batch norm over weighted rows, and synchronised batch norm on GPU and CPU."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from isnet.models.float32 import at_least_float32


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Synchronised batch norm for CPU processes, with the statistics of all ranks together.

    torch's own `nn.SyncBatchNorm` rejects CPU tensors, and DDP rejects a CPU model with one.
    """

    process_group = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` `(B, C, H, W)`."""
        return super().forward(x) if _sync_group(self) is None else _joined_batch_norm(x, self)


def batch_norm(x: Tensor, norm: _BatchNorm) -> Tensor:
    """Apply a batch norm to a map `(B, C, H, W)`. A `SyncBatchNorm` also works on the CPU."""
    if x.device.type == "cpu" and _sync_group(norm) is not None:
        return _joined_batch_norm(x, norm)
    y: Tensor = norm(x)
    return y


def _joined_batch_norm(x: Tensor, norm: _BatchNorm) -> Tensor:
    rows = x.movedim(1, -1).flatten(0, -2)
    y = counted_batch_norm(rows, rows.new_ones(len(rows)), norm)
    return y.reshape(x.shape[0], *x.shape[2:], -1).movedim(-1, 1)


def counted_batch_norm(rows: Tensor, counts: Tensor, norm: _BatchNorm) -> Tensor:
    """Batch-normalise rows `(R, C)` as if row `r` occurred `counts[r]` times in the batch.

    `counts` is `(R,)`; rows with count 0 do not affect the statistics. Uses and updates `norm` as
    `norm` itself would on the expanded batch: biased variance to normalise, unbiased running
    variance, and statistics of all ranks if it is synchronised.
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
    """Return mean `(C,)`, biased variance `(C,)` and number `()` of the rows of all ranks."""
    total = counts.sum()
    mean = (counts @ values) / total
    squares = counts @ (values - mean).square()
    group = _sync_group(norm)
    if group is None:
        return mean, squares / total, total
    # Combined as in Chan et al. (1979): a plain sum of squares would lose digits.
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
    """Return the process group over which `norm` shares statistics, or None if it shares none."""
    if not isinstance(norm, nn.SyncBatchNorm | CpuSyncBatchNorm) or not norm.training:
        return None
    if not (dist.is_available() and dist.is_initialized()):
        return None
    group = norm.process_group or dist.group.WORLD
    return group if dist.get_world_size(group) > 1 else None


@torch.no_grad()
def _update_running(norm: _BatchNorm, mean: Tensor, variance: Tensor, total: Tensor) -> None:
    """Update the running statistics of `norm` with those of this batch."""
    assert norm.running_mean is not None and norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    # Momentum None is torch's cumulative average; as a tensor the count stays on the device.
    share = 1 / norm.num_batches_tracked.to(mean.dtype) if norm.momentum is None else norm.momentum
    unbiased = variance * (total / (total - 1))
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), share)


class _SumOverRanks(torch.autograd.Function):
    """Differentiable sum over the ranks, like `torch.distributed.nn.all_reduce` (deprecated)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return _all_reduce(x, group)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _all_reduce(grad, ctx.group), None


def _all_reduce(x: Tensor, group: Any) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total

"""No step with a loss, gradient or running statistic that is not finite: left out on the device,
before anything is changed, and without a wait for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import distributed, nn

__all__ = ["GuardedOptimWrapper"]

_FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad)
"""Optimizers with a fused kernel: it reads on the device whether to do nothing."""


@OPTIM_WRAPPERS.register_module()
class GuardedOptimWrapper(OptimWrapper):
    """mmengine's OptimWrapper, which leaves out every step that is not finite.

    A step is left out where the loss of one of its micro-batches, the norm of its gradients or a
    buffer of the model (a running statistic of a norm) is not finite, in any process. Then weights,
    optimizer state and all buffers are to the bit what they were before the step's first
    micro-batch. A step that is finite is to the bit OptimWrapper's.

    On a GPU all this is decided there, and no step waits for the host: optimizers with a fused
    kernel use it, others wait for one flag. (mmengine's own clipping reads the norm each step.)

    Attributes:
        skipped: 0-dim float32 on the device, 1 where the last step was left out.
        faults: (1 + micro-batches) float32 on the device: whether the last step was at fault, and
            which of this process's losses were not finite.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        device = self.optimizer.param_groups[0]["params"][0].device
        self.skipped = torch.zeros((), device=device)
        self.faults = torch.zeros(1 + self._accumulative_counts, device=device)
        self._losses: list[torch.Tensor] = []
        self._buffers: list[_Buffers] | None = None
        self._fused = _fuse(self.optimizer)

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Keep the model's buffers before the first micro-batch of a step."""
        if self._buffers is None:
            self._buffers = _buffers(model)
        if not self._losses:
            for group in self._buffers:
                group.keep()
        with super().optim_context(model):
            yield

    def backward(self, loss: torch.Tensor, **settings: Any) -> None:
        """Note whether the loss is finite, and go back from it."""
        self._losses.append(~loss.detach().isfinite())
        super().backward(self._scaled(loss), **settings)

    def step(self, **settings: Any) -> None:
        """Clip, and step if all is finite."""
        losses = torch.stack(self._losses)
        self._losses = []
        forward = losses.any()
        for group in self._buffers or []:
            forward = forward | group.spoilt()
        verdict = torch.stack([forward | ~self._clipped_norm().isfinite(), forward]).float()
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            # Gradients are those of all processes by now; losses and buffers are not.
            distributed.all_reduce(verdict, distributed.ReduceOp.MAX)
        self.skipped, forward = verdict.unbind()
        self.faults = torch.cat([self._at_fault(forward).view(1), losses.float()])
        self._apply(**settings)
        for group in self._buffers or []:
            group.put_back(self.skipped, waits=not self._fused)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that may have been saved with another kernel or memory layout."""
        groups = zip(state_dict["param_groups"], self.optimizer.param_groups, strict=True)
        for saved, group in groups:
            saved.update({key: group[key] for key in ("fused", "foreach") if key in group})
        super().load_state_dict(state_dict)
        self._fused = _fuse(self.optimizer)

    def _scaled(self, loss: torch.Tensor) -> torch.Tensor:
        return loss

    def _at_fault(self, forward: torch.Tensor) -> torch.Tensor:
        """0-dim float32: whether the step is at fault; `forward`: the losses or buffers are."""
        return self.skipped

    def _apply(self, **settings: Any) -> None:
        if not self._fused:
            if not self.skipped.item():
                self.optimizer.step(**settings)
            return
        self.optimizer.found_inf = self.skipped
        try:
            self.optimizer.step(**settings)
        finally:
            del self.optimizer.found_inf

    def _clipped_norm(self) -> torch.Tensor:
        """Clip as configured; return the norm of the gradients before."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        parameters = [p for p in parameters if p.grad is not None]
        clips = self.clip_grad_kwargs is not None
        if clips and self.grad_name == "grad_norm":
            norm: torch.Tensor = self.clip_func(parameters, **self.clip_grad_kwargs)
        else:
            # Before the values are clipped: that would make large numbers of infinite ones.
            norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
            if clips:
                self.clip_func(parameters, **self.clip_grad_kwargs)
        return norm.to(self.skipped.device)


class _Buffers:
    """Buffers of one number format, kept in one flat tensor: a handful of kernels for hundreds of
    layers.
    """

    def __init__(self, buffers: list[torch.Tensor]) -> None:
        self.buffers = buffers
        self.kept = torch.cat([buffer.flatten() for buffer in buffers])
        self.now = torch.empty_like(self.kept)
        self.kept_parts = self._parts(self.kept)
        self.now_parts = self._parts(self.now)

    def _parts(self, flat: torch.Tensor) -> list[torch.Tensor]:
        sizes = [buffer.numel() for buffer in self.buffers]
        parts = zip(torch.split(flat, sizes), self.buffers, strict=True)
        return [part.view(buffer.shape) for part, buffer in parts]

    def keep(self) -> None:
        torch._foreach_copy_(self.kept_parts, self.buffers)

    def spoilt(self) -> torch.Tensor:
        """0-dim bool: whether a number is no longer finite that was."""
        torch._foreach_copy_(self.now_parts, self.buffers)
        return (~self.now.isfinite() & self.kept.isfinite()).any()

    def put_back(self, skipped: torch.Tensor, *, waits: bool) -> None:
        """Make the buffers what was kept, where `skipped` is 1; expects `spoilt` before."""
        if waits:
            if skipped.item():
                torch._foreach_copy_(self.buffers, self.kept_parts)
            return
        torch.where(skipped.bool(), self.kept, self.now, out=self.now)
        torch._foreach_copy_(self.buffers, self.now_parts)


def _buffers(model: nn.Module) -> list[_Buffers]:
    groups: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
    for buffer in model.buffers():
        groups.setdefault((buffer.dtype, buffer.device), []).append(buffer)
    return [_Buffers(group) for group in groups.values()]


def _fuse(optimizer: torch.optim.Optimizer) -> bool:
    """Prepare the fused kernel, on a GPU or where the config asks for it; return whether it is
    used.
    """
    groups = optimizer.param_groups
    on_gpu = all(p.is_cuda for group in groups for p in group["params"])
    asked = all(group.get("fused") for group in groups)
    # With dampening, SGD's first step has a momentum of its own, which zeros do not give.
    dampened = any(group.get("dampening") for group in groups)
    if type(optimizer) not in _FUSED or dampened or not (on_gpu or asked):
        return False
    optimizer._step_supports_amp_scaling = True  # type: ignore[attr-defined]
    for group in groups:
        group["fused"], group["foreach"] = True, None
        for parameter in group["params"]:
            _prepare_state(optimizer, parameter, group)
    return True


def _prepare_state(
    optimizer: torch.optim.Optimizer, parameter: torch.Tensor, group: dict[str, Any]
) -> None:
    state = optimizer.state[parameter] if parameter in optimizer.state else {}
    for name, value in state.items():
        # The kernel walks through memory, and a checkpoint may come from another layout.
        if torch.is_tensor(value) and value.shape == parameter.shape:
            state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    if group.get("momentum") and parameter.requires_grad and "momentum_buffer" not in state:
        # torch's first fused step takes uninitialised memory for it, which a step that is left out
        # leaves as it is. Zeros give the first step's bits.
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

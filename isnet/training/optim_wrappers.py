"""mmengine optimizer wrappers for float32, bfloat16 and float16 that skip non-finite steps."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import distributed, nn
from torch.amp import GradScaler

from isnet.settings.params import Precision

_FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad)
"""Optimizers with a fused kernel that skips the step on the device if `found_inf` is 1."""

_WRAPPERS: dict[Precision, str] = {
    "float32": "GuardedOptimWrapper",
    "tf32": "GuardedOptimWrapper",
    "bf16": "BFloat16OptimWrapper",
    "fp16": "Float16OptimWrapper",
}


def optimizer_wrapper(config: dict[str, Any], precision: Precision) -> dict[str, Any]:
    """Return an `optim_wrapper` config with the wrapper type for a precision.

    The run's precision replaces the config's settings for autocast; the other settings are kept. A
    config with a custom wrapper type is returned unchanged. `fused`, which a base config may ask
    for, is left out for an optimizer without such a kernel.
    """
    replaced = ("OptimWrapper", "AmpOptimWrapper", *_WRAPPERS.values())
    if config.get("type", "OptimWrapper") not in replaced:
        return config
    of_amp = {"dtype", "use_fsdp", *([] if precision == "fp16" else ["loss_scale"])}
    kept = {key: value for key, value in config.items() if key not in of_amp}
    optimizer = kept.get("optimizer", {})
    if "fused" in optimizer and optimizer["type"] not in {kind.__name__ for kind in _FUSED}:
        kept["optimizer"] = {key: value for key, value in optimizer.items() if key != "fused"}
    return {**kept, "type": _WRAPPERS[precision]}


@OPTIM_WRAPPERS.register_module()
class GuardedOptimWrapper(OptimWrapper):
    """mmengine's OptimWrapper that skips every step with non-finite numbers.

    A step is skipped if, in any process, the loss of a micro-batch, the norm of the gradients or a
    buffer of the model (a running statistic of a norm) becomes non-finite. Weights, optimizer state
    and buffers then stay bit-equal to those before the step's first micro-batch. A finite step is
    bit-equal to OptimWrapper's.

    On a GPU, the decision is made on the device. With a fused kernel no step waits for the host;
    other optimizers wait for one flag.

    Attributes:
        autocast: number format of the forward pass and the loss; None means that of the weights.
        skipped: float32 scalar tensor on the device; 1 if the last step was skipped, else 0.
        faults: float32 tensor `(1 + micro-batches,)` on the device. The first element is 1 if the
            last step counts as a fault, the others are 1 where this process's loss was not finite.
    """

    autocast: torch.dtype | None = None

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        device = self.optimizer.param_groups[0]["params"][0].device
        self.skipped = torch.zeros((), device=device)
        self.faults = torch.zeros(1 + self._accumulative_counts, device=device)
        self._bad_losses: list[torch.Tensor] = []
        self._buffers: list[_BufferCopies] = []
        self._is_fused = _use_fused_kernel(self.optimizer)

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast for a micro-batch; before the first one of a step, copy the buffers."""
        self._buffers = self._buffers or _copy_buffers(model)
        if not self._bad_losses:
            for copies in self._buffers:
                copies.save()
        with contextlib.ExitStack() as stack:
            stack.enter_context(super().optim_context(model))
            if self.autocast:
                stack.enter_context(torch.autocast(self.skipped.device.type, self.autocast))
            yield

    def backward(self, loss: torch.Tensor, **settings: Any) -> None:
        """Record whether the loss is finite, then run the backward pass."""
        self._bad_losses.append(~loss.detach().isfinite())
        super().backward(self._scale(loss), **settings)

    def step(self, **settings: Any) -> None:
        """Clip the gradients, and make an optimizer step if all numbers are finite."""
        bad_losses = torch.stack(self._bad_losses)
        self._bad_losses = []
        spoilt = [copies.is_spoilt() for copies in self._buffers]
        bad = torch.stack([bad_losses.any(), *spoilt]).any()
        verdict = torch.stack([bad | ~self._clip().isfinite(), bad]).float()
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            # Gradients are reduced already; losses and buffers are those of this process.
            distributed.all_reduce(verdict, distributed.ReduceOp.MAX)
        self.skipped, bad = verdict.unbind()
        self.faults = torch.cat([self._is_fault(bad).view(1), bad_losses.float()])
        self._apply(**settings)
        for copies in self._buffers:
            copies.restore(self.skipped)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load an optimizer state that may have been saved with another kernel or memory layout."""
        groups = zip(state_dict["param_groups"], self.optimizer.param_groups, strict=True)
        for saved, group in groups:
            saved.update({key: group[key] for key in ("fused", "foreach") if key in group})
        super().load_state_dict(state_dict)
        self._is_fused = _use_fused_kernel(self.optimizer)

    def _scale(self, loss: torch.Tensor) -> torch.Tensor:
        return loss

    def _is_fault(self, bad: torch.Tensor) -> torch.Tensor:
        """Return whether the step counts as a fault, as a float32 scalar tensor.

        `bad` is 1 if a loss or a buffer, and not only a gradient, is non-finite.
        """
        return self.skipped

    def _apply(self, **settings: Any) -> None:
        if not self._is_fused:
            if not self.skipped.item():
                self.optimizer.step(**settings)
            return
        self.optimizer.found_inf = self.skipped
        try:
            self.optimizer.step(**settings)
        finally:
            del self.optimizer.found_inf

    def _clip(self) -> torch.Tensor:
        """Clip the gradients as configured, and return their norm before clipping."""
        groups = self.optimizer.param_groups
        parameters = [p for group in groups for p in group["params"] if p.grad is not None]
        clips = self.clip_grad_kwargs is not None
        if clips and self.grad_name == "grad_norm":
            norm: torch.Tensor = self.clip_func(parameters, **self.clip_grad_kwargs)
        else:
            # Before clipping by value, which makes infinite gradients finite.
            norm = nn.utils.get_total_norm([p.grad for p in parameters])
            if clips:
                self.clip_func(parameters, **self.clip_grad_kwargs)
        return norm.to(self.skipped.device)


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(GuardedOptimWrapper):
    """Optimizer wrapper with the forward pass and the loss in bfloat16 autocast, on CPU and GPU.

    Weights and gradients stay float32. There is no gradient scaler, because bfloat16 has the range
    of float32. mmengine's AmpOptimWrapper does not support the CPU, and always scales.
    """

    autocast = torch.bfloat16


@OPTIM_WRAPPERS.register_module()
class Float16OptimWrapper(GuardedOptimWrapper):
    """Optimizer wrapper with float16 autocast, and gradient scaling against underflow.

    A step whose gradients overflow is skipped, and the scale is halved. This is how the scale is
    found, and not a fault. A non-finite loss is a fault, and so is an overflow at a scale below 1.
    From the initial scale (65536), 17 overflows in a row lead to such a scale.

    Args:
        loss_scale: `dynamic`, the settings of GradScaler, or a fixed scale, as for mmengine's
            AmpOptimWrapper.
        settings: settings of OptimWrapper.
    """

    autocast = torch.float16

    def __init__(
        self, loss_scale: str | float | dict[str, Any] = "dynamic", **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._fixed_scale = float(loss_scale) if isinstance(loss_scale, int | float) else None
        scaling = loss_scale if isinstance(loss_scale, dict) else {}
        if self._fixed_scale is not None:
            scaling = {"init_scale": self._fixed_scale}
        self.loss_scaler = GradScaler(self.skipped.device.type, **scaling)

    def _scale(self, loss: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = self.loss_scaler.scale(loss)
        return scaled

    def step(self, **settings: Any) -> None:
        """Unscale and clip the gradients, and make an optimizer step if all numbers are finite."""
        self.loss_scaler.unscale_(self.optimizer)
        super().step(**settings)
        self.loss_scaler.update(self._fixed_scale)

    def _apply(self, **settings: Any) -> None:
        # The scaler knows its own infinities; a bad loss in one process must skip all steps.
        for found in self.loss_scaler._found_inf_per_device(self.optimizer).values():
            found.copy_(self.skipped)
        self.loss_scaler.step(self.optimizer, **settings)

    def _is_fault(self, bad: torch.Tensor) -> torch.Tensor:
        scale = self.loss_scaler._get_scale_async()
        assert scale is not None  # there was a loss
        return torch.where(scale < 1, self.skipped, bad)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the optimizer and of the gradient scaler."""
        return {**super().state_dict(), "loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the optimizer and of the gradient scaler."""
        if "loss_scaler" in state_dict:
            self.loss_scaler.load_state_dict(state_dict.pop("loss_scaler"))
        super().load_state_dict(state_dict)


class _BufferCopies:
    """Copies of a model's buffers before and after a step, to undo changes by a skipped step.

    The buffers have one dtype and device. Their copies are flat tensors, so that copying and
    comparing take a few kernels instead of hundreds.
    """

    def __init__(self, buffers: list[torch.Tensor]) -> None:
        self.buffers = buffers
        self.before, self.after = (torch.cat([b.flatten() for b in buffers]) for _ in range(2))
        sizes = [buffer.numel() for buffer in buffers]
        self.before_parts, self.after_parts = (
            [part.view(b.shape) for part, b in zip(torch.split(flat, sizes), buffers, strict=True)]
            for flat in (self.before, self.after)
        )

    def save(self) -> None:
        """Copy the buffers before a step."""
        torch._foreach_copy_(self.before_parts, self.buffers)

    def is_spoilt(self) -> torch.Tensor:
        """Return whether a finite number in the buffers has become non-finite since `save`.

        The result is a bool scalar tensor on the device.
        """
        torch._foreach_copy_(self.after_parts, self.buffers)
        return (~self.after.isfinite() & self.before.isfinite()).any()

    def restore(self, skipped: torch.Tensor) -> None:
        """Undo the changes of the buffers since `save` if `skipped` is 1.

        Call `is_spoilt` before.
        """
        torch.where(skipped.bool(), self.before, self.after, out=self.after)
        torch._foreach_copy_(self.buffers, self.after_parts)


def _copy_buffers(model: nn.Module) -> list[_BufferCopies]:
    groups: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}
    for buffer in model.buffers():
        groups.setdefault((buffer.dtype, buffer.device), []).append(buffer)
    return [_BufferCopies(group) for group in groups.values()]


def _use_fused_kernel(optimizer: torch.optim.Optimizer) -> bool:
    """Use the fused kernel on a GPU, or if the config asks for it; return whether it is used."""
    groups = optimizer.param_groups
    on_gpu = all(p.is_cuda for group in groups for p in group["params"])
    requested = all(group.get("fused") for group in groups)
    # With dampening, SGD's first step sets the momentum otherwise than zeros would.
    dampened = any(group.get("dampening") for group in groups)
    if type(optimizer) not in _FUSED or dampened or not (on_gpu or requested):
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
        # The kernel needs the parameter's memory layout; a checkpoint may have another one.
        if torch.is_tensor(value) and value.shape == parameter.shape:
            state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    if group.get("momentum") and parameter.requires_grad and "momentum_buffer" not in state:
        # torch's first fused step allocates it without initialising it, and a skipped step would
        # keep it so. Zeros give the first step's bits.
        optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

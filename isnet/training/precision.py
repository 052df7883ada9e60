"""Number formats of training: optimizer wrappers for bfloat16 and float16 autocast."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn
from torch.amp import GradScaler

from isnet.settings.params import Precision
from isnet.training.nonfinite_guard import GuardedOptimWrapper

_AMP_SETTINGS = ("dtype", "loss_scale", "use_fsdp")
"""Settings of mmengine's AmpOptimWrapper that OptimWrapper does not have."""

_REPLACED = (
    "OptimWrapper",
    "AmpOptimWrapper",
    "GuardedOptimWrapper",
    "BFloat16OptimWrapper",
    "Float16OptimWrapper",
)
"""Wrappers that differ only in the number format."""


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(GuardedOptimWrapper):
    """Forward pass and loss in bfloat16 autocast; weights and gradients stay float32.

    Runs on CPU and GPU, without a gradient scaler: bfloat16 has float32's range. mmengine's
    AmpOptimWrapper refuses the CPU, and always scales.
    """

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast on the model's device."""
        with super().optim_context(model), torch.autocast(self.skipped.device.type, torch.bfloat16):
            yield


@OPTIM_WRAPPERS.register_module()
class Float16OptimWrapper(GuardedOptimWrapper):
    """Forward pass and loss in float16 autocast, with scaled gradients against underflow.

    A step whose gradients overflow is skipped and the scale halved; that is no fault, but how the
    scale is found. A non-finite loss is a fault, and so is an overflow at a scale below 1, which 17
    overflows in a row reach from the initial scale (65536).

    Args:
        loss_scale: as for mmengine's AmpOptimWrapper: `dynamic`, GradScaler's settings, or a fixed
            scale.
        settings: of OptimWrapper.
    """

    def __init__(
        self, loss_scale: str | float | dict[str, Any] = "dynamic", **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._fixed_scale = loss_scale if isinstance(loss_scale, float) else None
        scaling = loss_scale if isinstance(loss_scale, dict) else {}
        if self._fixed_scale is not None:
            scaling = {"init_scale": self._fixed_scale}
        self.loss_scaler = GradScaler(self.skipped.device.type, **scaling)

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enter autocast on the model's device."""
        with super().optim_context(model), torch.autocast(self.skipped.device.type, torch.float16):
            yield

    def _scaled(self, loss: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = self.loss_scaler.scale(loss)
        return scaled

    def step(self, **settings: Any) -> None:
        """Unscale and clip the gradients, and step if all is finite."""
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
        """Return the state of optimizer and scaler."""
        return {**super().state_dict(), "loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of optimizer and scaler."""
        if "loss_scaler" in state_dict:
            self.loss_scaler.load_state_dict(state_dict.pop("loss_scaler"))
        super().load_state_dict(state_dict)


def optimizer_wrapper(config: dict[str, Any], precision: Precision) -> dict[str, Any]:
    """Return an `optim_wrapper` config with the type for `precision`; its other settings stay.

    The run's precision overrides autocast in the config. A wrapper of any other type is kept.
    """
    if config.get("type", "OptimWrapper") not in _REPLACED:
        return config
    chosen = {key: value for key, value in config.items() if key not in _AMP_SETTINGS}
    if precision == "fp16":
        scale = {"loss_scale": config["loss_scale"]} if "loss_scale" in config else {}
        return {**chosen, **scale, "type": "Float16OptimWrapper"}
    return {
        **chosen,
        "type": "BFloat16OptimWrapper" if precision == "bf16" else "GuardedOptimWrapper",
    }

"""An exponential moving average of the weights, which is what such a run evaluates and exports."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from isnet.training.nonfinite_guard import GuardedOptimWrapper

__all__ = ["WeightAverage"]


class WeightAverage(Hook):
    """Averages the weights after each optimizer step, and puts the average in their place while the
    model is validated.

    All floating point numbers of the state dict are averaged, also BatchNorm's running statistics:
    averaged weights need statistics that fit them. So do timm's ModelEmaV3, torchvision's
    references (`use_buffers=True`) and mmdet's RTMDet (`update_buffers=True`); mmengine's default
    copies the statistics. Counters are those of the model.

    Step t (from 0) keeps min(decay, (1 + t) / (10 + t)) of the average, as TensorFlow's
    ExponentialMovingAverage does given `num_updates`: the initial weights are forgotten soon, also
    in a short run. A step that was left out changes no average, though t counts it.

    The average takes once more the memory of the weights, on their device.

    Args:
        decay: of the average, 0 to 1; 0.9998 averages over about 5000 steps.
        accumulation: micro-iterations per optimizer step.
    """

    priority = "NORMAL"

    def __init__(self, decay: float, *, accumulation: int) -> None:
        self.decay = decay
        self.accumulation = accumulation
        self.steps = 0
        self._saved: dict[str, torch.Tensor] = {}
        self._averages: dict[str, torch.Tensor] = {}
        self._sources: dict[str, torch.Tensor] = {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the averages themselves, no copies."""
        return {"steps": self.steps, "averages": self._averages or self._saved}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a checkpoint's state, before the first step."""
        self.steps, self._saved = state["steps"], state["averages"]

    def weights(self, runner: Runner) -> dict[str, torch.Tensor]:
        """Return the bare model's state dict with the averages in it: what is to be kept of the
        run.
        """
        self._begin(runner)
        averages = {id(self._sources[name]): value for name, value in self._averages.items()}
        state = _bare(runner).state_dict(keep_vars=True)
        return {name: averages.get(id(value), value.detach()) for name, value in state.items()}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Begin with the weights of before the first step."""
        self._begin(runner)

    @torch.no_grad()
    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Take a step's weights into the average; the device decides whether there was one."""
        if (batch_idx + 1) % self.accumulation:
            return
        kept = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        averages = list(self._averages.values())
        share = (1 - kept) * (1 - _skipped(runner, averages[0]))
        shares = [share.to(average.dtype) for average in averages]
        torch._foreach_lerp_(averages, list(self._sources.values()), shares)

    def before_val_epoch(self, runner: Runner) -> None:
        """Put the averages into the model."""
        self._begin(runner)
        self._swap()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Put the model's own weights back, to the bit."""
        self._swap()

    def _begin(self, runner: Runner) -> None:
        """Copy the weights once, in their layout; hooks that restore the model are through."""
        if self._averages:
            return
        seen: set[int] = set()
        for name, value in _bare(runner).state_dict(keep_vars=True).items():
            if value.is_floating_point() and id(value) not in seen:
                seen.add(id(value))  # shared weights are averaged once
                self._sources[name] = value
                self._averages[name] = value.detach().clone()
        for name, value in self._saved.items():
            self._averages[name].copy_(value)
        self._saved = {}

    @torch.no_grad()
    def _swap(self) -> None:
        for name, average in self._averages.items():
            weight = self._sources[name]
            own = weight.clone()
            weight.copy_(average)
            average.copy_(own)


def _skipped(runner: Runner, like: torch.Tensor) -> torch.Tensor:
    """0-dim: 1 where the last step was left out; a config's own wrapper leaves none out."""
    wrapper = runner.optim_wrapper
    return wrapper.skipped if isinstance(wrapper, GuardedOptimWrapper) else like.new_zeros(())


def _bare(runner: Runner) -> nn.Module:
    model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model

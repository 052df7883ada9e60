"""mmengine hook for an exponential moving average (EMA) of the weights of a model."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from isnet.training.optim_wrappers import GuardedOptimWrapper


def bare_model(runner: Runner) -> nn.Module:
    """Return the model without its DistributedDataParallel wrapper."""
    model: nn.Module = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model


class WeightAverage(Hook):
    """Exponential moving average (EMA) of the weights, which replaces them in validations.

    The average is updated after each optimizer step. It covers all floating point tensors of the
    state dict, including BatchNorm's running statistics, as in timm's ModelEmaV3, torchvision's
    references (`use_buffers=True`) and mmdet's RTMDet (`update_buffers=True`). mmengine's default
    copies these statistics. Integer counters are those of the model.

    Step t (from 0) keeps min(decay, (1 + t) / (10 + t)) of the average, as TensorFlow's
    ExponentialMovingAverage does with `num_updates`, so that the initial weights fade in short runs
    too. A skipped step changes no average, but counts for t.

    The average takes as much memory as the weights, on the same device. `decay`: 0 to 1; 0.9998
    averages over about 5000 steps. `accumulation`: micro-iterations per optimizer step.
    """

    priority = "NORMAL"

    def __init__(self, decay: float, *, accumulation: int) -> None:
        self.decay = decay
        self.accumulation = accumulation
        self.steps = 0
        self._restored: dict[str, torch.Tensor] = {}
        self._averages: dict[str, torch.Tensor] = {}
        self._sources: dict[str, torch.Tensor] = {}

    def state(self) -> dict[str, Any]:
        """Return the number of steps and the averages (without copying them) for a checkpoint."""
        return {"steps": self.steps, "averages": self._averages or self._restored}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the averages of a checkpoint. Call it before the first step."""
        self.steps, self._restored = state["steps"], state["averages"]

    def weights(self, runner: Runner) -> dict[str, torch.Tensor]:
        """Return the state dict of the unwrapped model, with averages in place of the weights."""
        self._begin(runner)
        averages = {id(self._sources[name]): value for name, value in self._averages.items()}
        state = bare_model(runner).state_dict(keep_vars=True)
        return {name: averages.get(id(value), value.detach()) for name, value in state.items()}

    def before_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        """Initialise the averages with the weights before the first step."""
        self._begin(runner)

    @torch.no_grad()
    def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        """Update the averages after an optimizer step, without synchronising with the device."""
        if (batch_idx + 1) % self.accumulation:
            return
        kept = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        averages = list(self._averages.values())
        wrapper, skipped = runner.optim_wrapper, averages[0].new_zeros(())
        if isinstance(wrapper, GuardedOptimWrapper):
            skipped = wrapper.skipped
        share = (1 - kept) * (1 - skipped)
        shares = [share.to(average.dtype) for average in averages]
        torch._foreach_lerp_(averages, list(self._sources.values()), shares)

    def before_val_epoch(self, runner: Runner) -> None:
        """Put the averages into the model for the validation."""
        self._begin(runner)
        self._swap()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Put the model's own weights back, bit-equal."""
        self._swap()

    def _begin(self, runner: Runner) -> None:
        """Initialise the averages once, from a checkpoint or with copies of the weights.

        Call it after other hooks have restored the model. Copies keep the weights' memory layout.
        """
        if self._averages:
            return
        seen: set[int] = set()
        for name, value in bare_model(runner).state_dict(keep_vars=True).items():
            if value.is_floating_point() and id(value) not in seen:
                seen.add(id(value))  # shared weights are averaged once
                self._sources[name] = value
                self._averages[name] = value.detach().clone()
        for name, value in self._restored.items():
            self._averages[name].copy_(value)
        self._restored = {}

    @torch.no_grad()
    def _swap(self) -> None:
        for name, average in self._averages.items():
            weight = self._sources[name]
            own = weight.clone()
            weight.copy_(average)
            average.copy_(own)

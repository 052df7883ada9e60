"""The moving average of the weights: its numbers, where it is used, and that it resumes."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from torch import nn

from isnet.training.hooks.weight_average import WeightAverage
from isnet.training.optim_wrappers import GuardedOptimWrapper


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36 * 4, 2)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


class _Run:
    """A training by hand, with what the hook reads of a Runner."""

    def __init__(self, average: WeightAverage, accumulation: int = 1) -> None:
        self.model = _model()
        self.average = average
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05, momentum=0.9)
        self.optim_wrapper = GuardedOptimWrapper(
            optimizer=optimizer, accumulative_counts=accumulation
        )

    def step(self, number: int, value: float | None = None) -> None:
        """One micro-batch, `value` somewhere in it."""
        images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(number))
        if value is not None:
            images[0, 0, 0, 0] = value
        runner: Any = self
        self.average.before_train_iter(runner, number)
        with self.optim_wrapper.optim_context(self.model):
            loss = self.model(images).square().mean()
        self.optim_wrapper.update_params(loss)
        self.average.after_train_iter(runner, number)

    def weights(self) -> dict[str, torch.Tensor]:
        """The model's own."""
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def averages(self) -> dict[str, torch.Tensor]:
        """What the run would keep."""
        runner: Any = self
        return {name: value.clone() for name, value in self.average.weights(runner).items()}


def _equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    assert list(ours) == list(theirs)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("decay", [0.15, 0.9998])
def test_the_average_is_that_of_its_formula(decay: float) -> None:
    run = _Run(WeightAverage(decay, accumulation=1))
    expected = run.weights()
    for step in range(4):
        run.step(step)
        kept = min(decay, (1 + step) / (10 + step))
        for name, weight in run.weights().items():
            if weight.is_floating_point():
                expected[name] = kept * expected[name] + (1 - kept) * weight
    averages = run.averages()
    for name, value in expected.items():
        if value.is_floating_point():  # BatchNorm's statistics too
            torch.testing.assert_close(averages[name], value)
    assert averages["1.num_batches_tracked"] == 4
    assert not torch.equal(averages["1.running_mean"], run.weights()["1.running_mean"])
    assert averages["0.weight"].is_contiguous(memory_format=torch.channels_last)


def test_a_micro_batch_is_no_step() -> None:
    run = _Run(WeightAverage(0.5, accumulation=2), accumulation=2)
    run.step(0)
    first = run.averages()["0.weight"]
    assert run.average.steps == 0
    run.step(1)
    assert run.average.steps == 1
    assert not torch.equal(run.averages()["0.weight"], first)


def test_a_step_that_was_left_out_leaves_the_average() -> None:
    run = _Run(WeightAverage(0.5, accumulation=1))
    run.step(0)
    before = run.averages()
    run.step(1, math.nan)
    assert _equal(run.averages(), before)
    run.step(2)
    assert not torch.equal(run.averages()["0.weight"], before["0.weight"])


def test_validation_sees_the_average_and_training_does_not() -> None:
    watched, left = (
        _Run(WeightAverage(0.5, accumulation=1)),
        _Run(WeightAverage(0.5, accumulation=1)),
    )
    for number in range(4):
        watched.step(number)
        left.step(number)
        runner: Any = watched
        averages, weights = watched.averages(), watched.weights()
        watched.average.before_val_epoch(runner)
        assert _equal(watched.weights(), averages)
        watched.average.after_val_epoch(runner)
        assert _equal(watched.weights(), weights)
    assert _equal(watched.weights(), left.weights())
    assert _equal(watched.averages(), left.averages())


def test_a_resumed_average_is_the_same_to_the_bit() -> None:
    whole, part = (
        _Run(WeightAverage(0.9998, accumulation=1)),
        _Run(WeightAverage(0.9998, accumulation=1)),
    )
    for number in range(5):
        whole.step(number)
    for number in range(3):
        part.step(number)
    file = io.BytesIO()
    torch.save(
        {
            "model": part.model.state_dict(),
            "optimizer": part.optim_wrapper.state_dict(),
            "average": part.average.state(),
        },
        file,
    )
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = _Run(WeightAverage(0.9998, accumulation=1))
    resumed.model.load_state_dict(saved["model"])
    resumed.optim_wrapper.load_state_dict(saved["optimizer"])
    resumed.average.restore(saved["average"])
    assert _equal(resumed.averages(), part.averages())  # where nothing is left to do
    for number in range(3, 5):
        resumed.step(number)
    assert _equal(resumed.weights(), whole.weights())
    assert _equal(resumed.averages(), whole.averages())
    assert resumed.average.steps == 5


def test_shared_weights_are_averaged_once() -> None:
    run = _Run(WeightAverage(0.5, accumulation=1))
    run.model.append(nn.Linear(2, 2))
    run.model.append(nn.Linear(2, 2))
    run.model[6].weight = run.model[5].weight
    runner: Any = run
    run.step(0)
    with torch.no_grad():
        run.model[5].weight.add_(1)
    run.average.after_train_iter(runner, 1)
    weights, averages = run.weights(), run.averages()
    assert torch.equal(averages["5.weight"], averages["6.weight"])
    run.average.before_val_epoch(runner)
    assert _equal(run.weights(), averages)
    run.average.after_val_epoch(runner)
    assert _equal(run.weights(), weights)


def test_a_run_saved_before_its_first_step_keeps_what_it_took_up() -> None:
    average = WeightAverage(0.5, accumulation=1)
    average.restore({"steps": 3, "averages": {"0.weight": torch.ones(1)}})
    assert average.state() == {"steps": 3, "averages": {"0.weight": torch.ones(1)}}


def test_it_takes_no_more_than_the_weights_once() -> None:
    run = _Run(WeightAverage(0.5, accumulation=1))
    run.step(0)
    floats = [value for value in run.model.state_dict().values() if value.is_floating_point()]
    held = run.average.state()["averages"].values()
    assert sum(value.nbytes for value in held) == sum(value.nbytes for value in floats)

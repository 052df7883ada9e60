from __future__ import annotations

import pytest
import torch

from isnet.inference import inference_cost as speed
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.inference_cost import count_flops, count_parameters, measure_cost
from isnet.inference.label_prediction import predict


def test_parameters_leave_out_the_auxiliary_head(build_model):
    model = build_model(auxiliary=True)
    without = build_model(auxiliary=False)
    everything = sum(value.numel() for value in model.parameters())
    assert count_parameters(model) == sum(value.numel() for value in without.parameters())
    assert count_parameters(model) < everything


def test_flops_count_a_multiply_add_as_two_and_no_auxiliary_head(build_model):
    model, x = build_model(auxiliary=True), torch.randn(1, 3, 32, 48)
    expected = 0

    def count(module, inputs, output) -> None:
        nonlocal expected
        kernel = module.kernel_size[0] * module.kernel_size[1] * module.in_channels
        expected += 2 * kernel // module.groups * output.numel()

    parts = [*model.backbone.modules(), *model.decode_head.modules()]
    hooks = [
        part.register_forward_hook(count) for part in parts if isinstance(part, torch.nn.Conv2d)
    ]
    with torch.no_grad():
        model.decode_head(model.backbone(x))
    for hook in hooks:
        hook.remove()
    assert count_flops(model, x) == expected > 0


def test_the_rate_is_of_warm_predictions_only(build_model, monkeypatch):
    clock, calls = [0.0], []

    def predict() -> None:
        calls.append(clock[0])
        clock[0] += 100.0 if len(calls) <= speed._WARM_UP else 0.5

    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    cost = measure_cost(build_model(), torch.randn(1, 3, 32, 48), predict, seconds=5.0)
    assert cost.images_per_second == pytest.approx(2.0)
    assert len(calls) == speed._WARM_UP + 10 == speed._WARM_UP + cost.rounds
    assert cost.input == (32, 48)


def test_a_slow_model_is_measured_all_the_same(build_model, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])

    def predict() -> None:
        clock[0] += 60.0

    calls = []
    cost = measure_cost(
        build_model(), torch.randn(1, 3, 32, 48), lambda: calls.append(predict()), seconds=5.0
    )
    assert cost.images_per_second == pytest.approx(1 / 60)
    assert len(calls) == speed._WARM_UP + speed._MIN_ROUNDS > speed._WARM_UP + 1


def test_memory_is_gigabytes_of_this_process(build_model):
    cost = measure_cost(build_model(), torch.randn(1, 3, 32, 48), lambda: None, seconds=0)
    held = torch.ones(100_000_000, dtype=torch.float32)
    more = measure_cost(build_model(), torch.randn(1, 3, 32, 48), lambda: None, seconds=0)
    assert held.sum() > 0
    assert 0.1 < cost.peak_memory_gb <= more.peak_memory_gb < 60
    # Another test of this process may have had more at once.
    assert more.peak_memory_gb >= 0.5


def test_percentiles_are_of_single_predictions(build_model, monkeypatch):
    clock, waits = [0.0], iter([9.0] * speed._WARM_UP + [0.1] * 98 + [0.5, 2.0])

    def predict() -> None:
        clock[0] += next(waits)

    monkeypatch.setattr(speed.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(speed, "_MIN_ROUNDS", 100)
    cost = measure_cost(build_model(), torch.randn(1, 3, 32, 48), predict, seconds=1.0)
    assert cost.rounds == 100
    assert cost.latency_ms == pytest.approx({50: 100.0, 90: 100.0, 99: 500.0})


def test_peak_memory_is_that_of_the_prediction_alone(build_model):
    before = torch.ones(40_000_000)
    del before
    model, x = build_model(), torch.randn(1, 3, 32, 48)
    small = measure_cost(model, x, lambda: None, seconds=0).peak_memory_gb
    large = measure_cost(model, x, lambda: torch.ones(20_000_000).sum(), seconds=0).peak_memory_gb
    assert 0.06 < large - small < 0.12


def test_a_prediction_is_measured_whole(build_model):
    model, x = build_model(), torch.randn(1, 3, 32, 48)
    cost = measure_cost(
        model, x, lambda: predict(model, x, (64, 96), InferenceSettings()), seconds=0
    )
    assert cost.input == (32, 48) and cost.rounds == speed._MIN_ROUNDS
    assert cost.flops == count_flops(model, x) and cost.parameters == count_parameters(model)

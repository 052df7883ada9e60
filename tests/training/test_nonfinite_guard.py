"""Steps that are not finite: nothing of them stays, and a healthy step does not notice the guard."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from forked_commands import call_in_ranks
from log_lines import record_log
from mmengine.optim import OptimWrapper
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from isnet.errors import UserError
from isnet.training.hooks import nonfinite_hook
from isnet.training.hooks.nonfinite_hook import NonFiniteHook
from isnet.training.optim_wrappers import (
    BFloat16OptimWrapper,
    Float16OptimWrapper,
    GuardedOptimWrapper,
)

BAD = pytest.mark.parametrize("bad", [math.nan, math.inf])
KERNEL = pytest.mark.parametrize("fused", [None, True], ids=["host decides", "device decides"])
OPTIMIZER = pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
        (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.5}),
        (torch.optim.AdamW, {}),
    ],
)
CLIP = pytest.mark.parametrize(
    "clip", [None, {"max_norm": 0.1}, {"type": "value", "clip_value": 0.01}]
)


class _PlainBFloat16(OptimWrapper):
    """What bfloat16 was before it was guarded."""

    @contextlib.contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast("cpu", torch.bfloat16):
            yield


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36 * 4, 2)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def _images(number: int, value: float | None = None) -> torch.Tensor:
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(number))
    if value is not None:
        images[1, 2, 3, 4] = value
    return images


def _wrapper(
    model: nn.Module,
    wrapper: Callable[..., Any] = GuardedOptimWrapper,
    kind: Callable[..., Any] = torch.optim.SGD,
    clip: dict[str, Any] | None = None,
    accumulation: int = 1,
    **settings: Any,
) -> Any:
    if kind is torch.optim.SGD:
        settings = {"momentum": 0.9, "weight_decay": 0.01} | settings
    optimizer = kind(model.parameters(), lr=0.05, **settings)
    clip = None if clip is None else dict(clip)
    return wrapper(optimizer=optimizer, clip_grad=clip, accumulative_counts=accumulation)


def _go(model: nn.Module, wrapper: Any, images: torch.Tensor, factor: float = 1.0) -> None:
    with wrapper.optim_context(model):
        loss = model(images).float().square().mean() * factor
    wrapper.update_params(loss)


def _state(model: nn.Module, wrapper: Any) -> list[torch.Tensor]:
    """All that a step changes."""
    kept = [*model.state_dict().values()]
    for state in wrapper.optimizer.state_dict()["state"].values():
        kept += [value for value in state.values() if torch.is_tensor(value)]
    return [value.clone() for value in kept]


def _equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@CLIP
@KERNEL
@OPTIMIZER
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize(
    ("guarded", "plain"),
    [(GuardedOptimWrapper, OptimWrapper), (BFloat16OptimWrapper, _PlainBFloat16)],
    ids=["float32", "bf16"],
)
def test_healthy_steps_are_those_without_a_guard_to_the_bit(
    guarded: Any, plain: Any, accumulation: int, kind: Any, settings: Any, fused: Any, clip: Any
) -> None:
    results = []
    for wrapper in (guarded, plain):
        model = _model()
        optim = _wrapper(model, wrapper, kind, clip, accumulation, fused=fused, **settings)
        for number in range(3 * accumulation):
            _go(model, optim, _images(number))
        results.append(_state(model, optim))
    assert _equal(*results)


@BAD
@CLIP
@KERNEL
@OPTIMIZER
@pytest.mark.parametrize("good", [0, 2], ids=["first step", "later step"])
def test_a_step_that_is_not_finite_changes_nothing(
    good: int, kind: Any, settings: Any, fused: Any, clip: Any, bad: float
) -> None:
    """Not even the step after it: that is what it would have been at once."""
    results = []
    for faulty in (True, False):
        model = _model()
        optim = _wrapper(model, kind=kind, clip=clip, fused=fused, **settings)
        for number in range(good):
            _go(model, optim, _images(number))
        if faulty:
            before = _state(model, optim)
            _go(model, optim, _images(7, bad))
            assert optim.skipped.item() == 1
            assert _equal(_state(model, optim)[: len(model.state_dict())], before[:9])
        _go(model, optim, _images(9))
        assert optim.skipped.item() == 0
        results.append(_state(model, optim))
    assert _equal(*results)
    assert all(value.isfinite().all() for value in results[0])


@BAD
@KERNEL
@pytest.mark.parametrize("wrapper", [GuardedOptimWrapper, Float16OptimWrapper])
def test_a_loss_alone_is_caught(wrapper: Any, fused: Any, bad: float) -> None:
    """All pixels ignored: the mean's loss is NaN, its gradients are zero."""
    model = _model()
    optim = _wrapper(model, wrapper, fused=fused)
    before = _state(model, optim)
    with optim.optim_context(model):
        loss = model(_images(1)).float().mean()
    optim.update_params(loss * 0 + torch.tensor(bad))
    assert optim.faults.tolist() == [1, 1]
    assert _equal(_state(model, optim)[: len(before)], before)


def test_a_gradient_alone_is_caught() -> None:
    model = _model()
    optim = _wrapper(model)
    before = _state(model, optim)
    with optim.optim_context(model):
        loss = (model(_images(1)) * 0).sum().sqrt()
    optim.update_params(loss)
    assert loss.isfinite()
    assert _equal(_state(model, optim), before)


@KERNEL
def test_a_running_statistic_alone_is_caught(fused: Any) -> None:
    """Its square overflows, and what is divided by it is finite; infinities that belong to the
    model are not taken for it.
    """
    model = _model()
    model.register_buffer("mask", torch.tensor([0.0, -math.inf]))
    optim = _wrapper(model, fused=fused)
    before = _state(model, optim)
    _go(model, optim, _images(1, 1e25))
    assert optim.faults.tolist() == [1, 0]
    assert _equal(_state(model, optim)[: len(model.state_dict())], before[:10])
    _go(model, optim, _images(1))
    assert optim.skipped.item() == 0


@KERNEL
@pytest.mark.parametrize("where", [0, 1])
def test_one_bad_micro_batch_discards_its_step(where: int, fused: Any) -> None:
    model = _model()
    optim = _wrapper(model, accumulation=2, fused=fused)
    for number in range(2):
        _go(model, optim, _images(number))
    before = _state(model, optim)
    for number in range(2):
        _go(model, optim, _images(number, math.nan if number == where else None))
    assert _equal(_state(model, optim), before)
    assert optim.faults.tolist() == [1, where == 0, where == 1]


def test_a_checkpoint_fits_another_kernel_and_layout() -> None:
    """As from a CPU to a GPU, or with channels_last switched."""
    first, whole = _model(), _model()
    optim, straight = _wrapper(first), _wrapper(whole)
    for number in range(2):
        _go(first, optim, _images(number))
        _go(whole, straight, _images(number))
    second = _model().to(memory_format=torch.contiguous_format)
    second.load_state_dict(first.state_dict())
    resumed = _wrapper(second, fused=True)
    resumed.load_state_dict(copy.deepcopy(optim.state_dict()))
    _go(second, resumed, _images(2))
    _go(whole, straight, _images(2))
    assert resumed.optimizer.param_groups[0]["fused"] is True
    for ours, theirs in zip(_state(second, resumed), _state(whole, straight), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_half_precision_halves_its_scale_and_reports_no_fault() -> None:
    model = _model()
    optim = _wrapper(model, Float16OptimWrapper)
    before = _state(model, optim)
    while not optim.faults[0]:
        scale = optim.loss_scaler.get_scale()
        _go(model, optim, _images(1), 1e8)
        assert optim.loss_scaler.get_scale() == scale / 2
        assert _equal(_state(model, optim), before)
        assert scale >= 0.5
    assert scale == 0.5  # collapsed
    optim = _wrapper(model, Float16OptimWrapper)
    _go(model, optim, _images(1))
    assert optim.skipped.item() == 0
    assert not _equal(_state(model, optim)[:9], before[:9])
    before = _state(model, optim)
    _go(model, optim, _images(1, math.nan))
    assert optim.faults.tolist() == [1, 1]
    assert _equal(_state(model, optim), before)


def test_half_precision_keeps_its_scale_in_a_checkpoint() -> None:
    model = _model()
    optim, other = (_wrapper(model, Float16OptimWrapper) for _ in range(2))
    _go(model, optim, _images(1), 1e8)
    other.load_state_dict(optim.state_dict())
    _go(model, other, _images(1), 1e8)
    assert other.loss_scaler.get_scale() == 65536 / 4


@pytest.mark.parametrize("scale", [512, 512.0])
def test_a_fixed_scale_stays(scale: float) -> None:
    model = _model()
    wrapper = functools.partial(Float16OptimWrapper, loss_scale=scale)
    optim = _wrapper(model, wrapper)
    for value in (1e8, None):
        _go(model, optim, _images(1, value))
        assert optim.loss_scaler.get_scale() == 512


def _hook(**settings: Any) -> tuple[NonFiniteHook, list[str]]:
    said = record_log()
    defaults: dict[str, Any] = {"accumulation": 1, "precision": "fp16"}
    hook = NonFiniteHook(
        **defaults | settings,
        last_checkpoint=lambda: "iteration-3.pth (iteration 3)",
    )
    return hook, said


def _iterate(hook: NonFiniteHook, model: nn.Module, optim: Any, number: int, bad: bool) -> None:
    _go(model, optim, _images(number, math.nan if bad else None))
    samples = [SimpleNamespace(img_path=f"{number}-{i}.png") for i in range(2)]
    runner: Any = SimpleNamespace(optim_wrapper=optim)
    hook.after_train_iter(runner, number, {"data_samples": samples}, {})


def test_each_fault_is_told_with_the_images_of_its_micro_batch() -> None:
    hook, said = _hook(accumulation=2)
    model = _model()
    optim = _wrapper(model, accumulation=2)
    for number in range(6):
        _iterate(hook, model, optim, number, bad=number == 3)
    assert said == [
        "iteration 2 is skipped: the loss or its gradients are not finite "
        "(1 in a row, 1 in all); images 3-0.png, 3-1.png"
    ]


def test_a_run_stops_after_too_many_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonfinite_hook, "_MOST_IN_A_ROW", 2)
    hook, said = _hook()
    model = _model()
    optim = _wrapper(model)
    for number in range(7):
        _iterate(hook, model, optim, number, bad=number not in (2, 5))
    _iterate(hook, model, optim, 7, bad=True)
    with pytest.raises(UserError) as error:
        _iterate(hook, model, optim, 8, bad=True)
    assert len(said) == 6
    line = str(error.value)
    assert line.startswith(
        "iteration 9: the loss or its gradients are not finite, 3 times in a row"
    )
    for part in ("8-0.png, 8-1.png", "iteration-3.pth", "lr", "clip_grad", "bf16 or float32"):
        assert part in line


def test_a_run_stops_after_too_many_in_all_also_over_a_resume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nonfinite_hook, "_MOST_IN_ALL", 2)
    model = _model()
    optim = _wrapper(model, clip={"max_norm": 1})
    hook, _ = _hook(precision="float32")
    _iterate(hook, model, optim, 0, bad=True)
    _iterate(hook, model, optim, 1, bad=True)
    state = hook.state()
    assert state == {"in_a_row": 2, "in_all": 2}
    resumed, _ = _hook(precision="float32")
    resumed.restore(state)
    _iterate(resumed, model, optim, 2, bad=False)
    with pytest.raises(UserError, match=r"1 times in a row and 3 in all") as error:
        _iterate(resumed, model, optim, 3, bad=True)
    assert "clip_grad" not in str(error.value)
    assert "precision" not in str(error.value)


def _one_of_two(rank: int, folder: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    model = _model()
    spread = DistributedDataParallel(model, broadcast_buffers=False)
    optim = _wrapper(spread)
    hook, said = _hook()
    _iterate(hook, spread, optim, 0, bad=False)
    before = _state(model, optim)
    _iterate(hook, spread, optim, 1, bad=rank == 1)
    kept = _equal(_state(model, optim), before)
    with optim.optim_context(spread):  # a loss whose gradients are finite in both
        loss = spread(_images(2)).mean()
    optim.update_params(loss * 0 + (math.nan if rank == 1 else 0.0))
    kept &= _equal(_state(model, optim), before)
    torch.save({"kept": kept, "weights": model.state_dict(), "said": said}, folder / f"{rank}.pth")
    distributed.destroy_process_group()


def test_two_processes_leave_out_the_same_steps(tmp_path: Path) -> None:
    call_in_ranks(_one_of_two, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pth") for rank in range(2))
    assert first["kept"]
    assert second["kept"]
    assert torch.equal(first["weights"]["0.weight"], second["weights"]["0.weight"])
    assert len(first["said"]) == 1
    assert "images rank 1: 1-0.png, 1-1.png" in first["said"][0]
    assert second["said"] == []

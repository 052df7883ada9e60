"""The memory of a training step, counted on fake tensors; what these prove besides."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from logging import StreamHandler
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from forked_commands import ForkedCommand, code_of_call
from mmengine.model import BaseModel
from mmseg.registry import MODELS
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from isnet.errors import UserError
from isnet.inference import inference_cost
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.label_prediction import predict_with_confidence
from isnet.inference.model_config import model_config
from isnet.mmseg_import import import_mmseg
from isnet.settings.experiment import resolve
from isnet.settings.params import Run
from isnet.settings.planned_run import PlannedRun
from isnet.training.memory_estimate import (
    StepMemory,
    allocate,
    estimate_step_memory,
    fake_tensors,
    model_without_memory,
    training_batch,
    training_step,
)
from isnet.training.tensor_memory import LiveStorages

import_mmseg()
CONFIG = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"
STAGE = {"num_stages": 1, "out_indices": (0,), "strides": (1,), "dilations": (1,)}
HEAD = {"in_index": (0,), "in_channels": (32,), "channels": 32, "shortcut_in_channels": 32}
CROP = (32, 64)
SMALL = {
    "model": {
        "data_preprocessor": {"size": CROP},
        "backbone": STAGE,
        "decode_head": HEAD,
        "auxiliary_head": {"in_index": 0, "in_channels": 32},
    },
    "optim_wrapper": {
        "paramwise_cfg": {"custom_keys": {"backbone": {"lr_mult": 0.5}}},
        "optimizer": {"_delete_": True, "type": "SGD", "lr": 0.01, "momentum": 0.9},
    },
}
"""A part of the network and few optimizer kernels: fake ones take time by number, not by size."""
FUSED = {"optim_wrapper": {"optimizer": {**SMALL["optim_wrapper"]["optimizer"], "fused": True}}}
"""The kernel that a GPU gets."""
ONE_IMAGE = {"train_dataloader": {"batch_size": 1}}
ACCUMULATED = {**ONE_IMAGE, "auto_scale_lr": {"base_batch_size": 2}}


def planned(overrides: dict[str, Any] | None = None, **settings: Any) -> PlannedRun:
    overrides = {**SMALL, **(overrides or {})}
    values = {"dataset": "streets", "config": CONFIG, "overrides": overrides, **settings}
    run = Run.model_validate(values)
    return PlannedRun("one", run, replace(resolve("one", run), crop=CROP))


def memory_of(run: PlannedRun) -> StepMemory:
    found = estimate_step_memory(run)
    assert isinstance(found, StepMemory), found
    return found


@pytest.fixture(scope="module")
def plain() -> StepMemory:
    return memory_of(planned())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_fake_tensors_take_what_real_ones_take(precision: str, plain: StepMemory) -> None:
    run = planned(precision=precision)
    config = run.experiment.config
    model = MODELS.build(model_config(config, pretrained=False, sync_norm="BN")).train()
    model.to(memory_format=torch.channels_last)
    step = training_step(run, model)
    with LiveStorages(cpu=True) as storages:
        step()  # what existed before is counted as operators return it
        held = storages.peak = storages.live
        step()
    estimate = plain if precision == "float32" else memory_of(run)
    weights = sum(value.nbytes for value in model.state_dict().values())
    momenta = sum(value.nbytes for value in model.parameters())
    assert estimate.held == pytest.approx(weights + momenta, rel=0.01)
    added = estimate.peak - estimate.held
    assert added == pytest.approx(storages.peak - held, rel=0.02)


def _measure_peak(work: Callable[[], None]) -> int:
    """Return the bytes that the work adds to the resident memory at most."""
    device = torch.device("cpu")
    inference_cost._reset_peak_memory(device)
    before = psutil.Process().memory_info().rss
    work()
    return inference_cost._peak_memory(device) - before


@pytest.mark.skipif(
    not torch.backends.cpu.get_cpu_capability().startswith("AVX"),
    reason="oneDNN's kernels for other CPUs copy less",
)
@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc/self/clear_refs"
)
def test_a_convolution_on_a_cpu_takes_what_is_counted(tmp_path: Path) -> None:
    """Against the kernel's high-water mark: tensors, and what oneDNN adds while it runs.

    In a process of its own, which keeps no freed memory.
    """
    told = tmp_path / "told.txt"
    apart = ForkedCommand(code=code_of_call(_compare_convolution), told=told)
    assert apart.wait() == 0, apart.told


def _compare_convolution() -> None:
    layer = torch.nn.Conv2d(2048, 512, 3, padding=1, bias=False).to(
        memory_format=torch.channels_last
    )
    x = torch.zeros(2, 2048, 4, 4).to(memory_format=torch.channels_last).requires_grad_()

    def step() -> None:
        layer(x).sum().backward()
        layer.weight.grad = x.grad = None

    step()
    measured = _measure_peak(step)
    with LiveStorages(cpu=True) as storages:
        step()
        held = storages.peak = storages.live
        step()
    assert storages.peak - held == pytest.approx(measured, rel=0.03), measured


def test_what_a_run_keeps_besides_is_counted(
    plain: StepMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = plain.held / 2  # and a momentum of each
    half = memory_of(planned(ACCUMULATED, ema=0.99))
    assert half.held - plain.held == pytest.approx(2 * weights, rel=0.02)  # gradients, averages
    assert half.peak < plain.peak
    logged: list[object] = []
    monkeypatch.setattr(StreamHandler, "emit", lambda handler, record: logged.append(record))
    buckets = memory_of(planned(devices="cpu:2"))
    assert not logged  # mmengine would list each parameter
    assert buckets.held - plain.held == pytest.approx(weights, rel=0.02)


def test_code_that_reads_numbers_is_estimated_all_the_same() -> None:
    class Reads(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * float(x.sum()) if bool(x.any()) else x

    with fake_tensors() as storages:
        Reads()(torch.zeros(2, 3))
    assert storages.reads == 2


def _pools(run: PlannedRun) -> PlannedRun:
    """Give the network no head but a pyramid that pools to 1x1."""
    norm = {"type": "SyncBN"}
    head = {"type": "PSPHead", "in_channels": 32, "in_index": 0, "channels": 8, "norm_cfg": norm}
    head |= {"num_classes": 19, "pool_scales": (1, 2)}
    run.experiment.config["model"] |= {"decode_head": head, "auxiliary_head": None}
    return run


def test_a_single_image_where_a_layer_cannot_have_it_is_refused_before() -> None:
    with pytest.raises(UserError, match=r"runs\.one: the batch norm decode_head\.\S+ gets one"):
        estimate_step_memory(_pools(planned(ONE_IMAGE)))


@pytest.mark.parametrize("devices", ["2", "cpu:2"])
def test_a_single_image_is_enough_where_processes_share_their_statistics(devices: str) -> None:
    memory_of(_pools(planned(ACCUMULATED, devices=devices)))


@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_a_training_step_reads_no_number(precision: str) -> None:
    run = planned(FUSED, precision=precision, devices="1")
    model = model_without_memory(run)
    with fake_tensors() as storages:
        allocate(model, channels_last=True)
        step = training_step(run, model)
        step()
    assert storages.reads == 0


class _CopiesToHost(TorchDispatchMode):
    """Counts the results on the CPU of operators with a tensor of the GPU, and its float64."""

    def __init__(self) -> None:
        super().__init__()
        self.count = self.doubles = 0

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = operator(*args, **(kwargs or {}))
        devices = [
            {leaf.device.type for leaf in tree_leaves(side) if isinstance(leaf, Tensor)}
            for side in ((args, kwargs), result)
        ]
        self.count += "cuda" in devices[0] and "cpu" in devices[1]
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.doubles += any(x.dtype == torch.float64 and x.is_cuda for x in made)
        return result


def _put_on_fake_gpu(model: BaseModel) -> None:
    allocate(model, channels_last=True, device="cuda")
    model.data_preprocessor._device = torch.device("cuda")


@pytest.fixture
def autocast_without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch.autocast of "cuda" have its effect on fake tensors."""
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.usefixtures("autocast_without_gpu")
def test_training_mixes_no_devices_and_never_waits(dtype: torch.dtype | None) -> None:
    run = planned(devices="1")
    model = model_without_memory(run)
    with fake_tensors() as storages, _CopiesToHost() as copies:
        _put_on_fake_gpu(model)
        data = model.data_preprocessor(training_batch(run, model), training=True)
        with torch.autocast("cuda", dtype, enabled=dtype is not None):
            losses = model(**data, mode="loss")
    assert {value.device.type for value in losses.values()} == {"cuda"}
    assert storages.reads == copies.count == 0


def test_training_and_its_validation_need_no_float64_on_the_device() -> None:
    """Which Apple's GPU does not have."""
    run = planned(devices="1")
    model = model_without_memory(run)
    with fake_tensors(), _CopiesToHost() as copies, torch.no_grad():
        _put_on_fake_gpu(model)
        model(**model.data_preprocessor(training_batch(run, model), training=True), mode="loss")
        batch = training_batch(run, model)
        for sample in batch["data_samples"]:
            sample.set_metainfo({"ori_shape": sample.img_shape})
        model.eval().val_step(batch)
    assert copies.doubles == 0


@pytest.mark.usefixtures("autocast_without_gpu")
@pytest.mark.parametrize(("mode", "precision"), [("whole", "bf16"), ("slide", "float32")])
def test_predictions_mix_no_devices_and_wait_once_a_pass(mode: Any, precision: Any) -> None:
    """For whether the output is finite, which evaluation and predict ask before they go on."""
    windows = {"crop_size": (64, 64), "stride": (64, 64), "windows_per_batch": 2}
    settings = InferenceSettings(
        mode=mode,
        scales=(0.5,) if mode == "whole" else (1.0,),
        flip=True,
        average="probabilities",
        precision=precision,
        **(windows if mode == "slide" else {}),
    )
    passes = 0
    model = model_without_memory(planned(devices="1")).eval()
    with fake_tensors() as storages, _CopiesToHost() as copies:
        _put_on_fake_gpu(model)

        def count(*_: Any) -> None:
            nonlocal passes
            passes += 1

        model.decode_head.register_forward_hook(count)
        x = torch.zeros(1, 3, 64, 128, device="cuda")
        labels, confidence = predict_with_confidence(model, x, (64, 128), settings)
    assert labels.device.type == confidence.device.type == "cuda"
    assert storages.reads == passes > 0
    assert copies.count == 0

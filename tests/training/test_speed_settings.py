"""Precision, memory layout and compilation: what each changes in a training, and what it leaves."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmseg.models import SegDataPreProcessor
from torch import nn

from isnet.distributed.stop_signals import StopRequest
from isnet.errors import UserError
from isnet.machine.torch_build import missing_tool, require_tools
from isnet.mmseg_import import import_mmseg
from isnet.models.float32 import allow_tf32
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.training.optim_wrappers import optimizer_wrapper
from isnet.training.speed_settings import compile_parts, require_deterministic, set_layout
from isnet.training.train_job import TrainJob
from isnet.training.trainer import TrainResult, train

Edit = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo the settings of torch for the tests after it, which compare bits."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is restored
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    yield
    allow_tf32(False)
    require_deterministic(False)


@pytest.fixture
def short(prepared: Path, edit: Edit) -> Path:
    """A checkout whose first run has three iterations."""
    import_mmseg()
    edit("max_iters: 6, val_interval: 3", "max_iters: 3, val_interval: 3")
    return prepared


def _train(work: str, settings: str = "", *, stop: bool = False) -> TrainResult:
    """Train the first run with `settings` (lines of params.yaml); `stop`: after one iteration."""
    path = Path("params.yaml")
    text = path.read_text()
    path.write_text(text.replace("    devices: cpu\n", f"    {settings or 'devices: cpu'}\n", 1))
    plan = Plan.of(load_params())
    path.write_text(text)
    stop_request = StopRequest()
    stop_request.signal_name = "SIGTERM" if stop else None
    job = TrainJob(plan.run("one"), plan.layout, work, manifest_digest="", store=None)
    return train(job, stop_request)


def _folder(work: str) -> Path:
    return Path("work/runs/one", work)


def _losses(work: str) -> list[float]:
    lines = (_folder(work) / "journal.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if record["kind"] == "train"]


def test_bfloat16_on_the_cpu_follows_float32_and_resumes_to_the_bit(short: Path) -> None:
    allow_tf32(True)
    _train("float32", stop=True)
    assert not torch.backends.cudnn.allow_tf32  # torch's default is that it is allowed
    assert torch.get_float32_matmul_precision() == "highest"

    whole = _train("whole", "precision: bf16")
    assert _train("parts", "precision: bf16", stop=True).iteration == 1
    resumed = _train("parts", "precision: bf16")

    first, of_float32 = _losses("whole")[0], _losses("float32")[0]
    assert first != of_float32
    assert first == pytest.approx(of_float32, rel=0.005)  # 8 bits of mantissa: 0.4 % a number
    assert {value.dtype for value in whole.weights.values()} == {torch.float32, torch.int64}
    assert resumed.finished
    assert _losses("parts") == _losses("whole")
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)


def test_the_layout_changes_rounding_alone(short: Path) -> None:
    """The same initial weights, too: random numbers fill a tensor in the order of its memory."""
    last = _train("last", stop=True)
    first = _train("first", "channels_last: false", stop=True)
    assert _losses("last")[0] == pytest.approx(_losses("first")[0], rel=1e-5)
    assert last.iteration == first.iteration


@pytest.mark.parametrize("channels_last", [True, False])
def test_maps_have_the_layout_of_the_setting_and_weights_only_on_a_gpu(channels_last: bool) -> None:
    weights = {}
    for on_gpu in (True, False):
        model = nn.Module()
        model.data_preprocessor, model.conv = SegDataPreProcessor(), nn.Conv2d(3, 4, 3)
        set_layout(model, channels_last=channels_last, on_gpu=on_gpu)
        batch = {"inputs": [torch.zeros(3, 8, 9), torch.zeros(8, 9, 3).permute(2, 0, 1)]}
        maps = model.conv(model.data_preprocessor(batch)["inputs"])
        assert maps.is_contiguous(memory_format=torch.channels_last) == channels_last
        assert maps.is_contiguous() != channels_last
        weights[on_gpu] = model.conv.weight.is_contiguous()
    assert weights == {True: not channels_last, False: True}


def test_deterministic_kernels_alone_are_used_where_asked_for(short: Path) -> None:
    _train("asked", "deterministic: true", stop=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    _train("free", stop=True)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_an_interrupted_training_on_a_gpu_ends_bit_equal(short: Path, precision: str) -> None:
    settings = f"devices: 1\n    deterministic: true\n    ema: 0.9\n    precision: {precision}"
    whole = _train("whole", settings)
    assert _train("parts", settings, stop=True).iteration == 1
    resumed = _train("parts", settings)
    assert _losses("parts") == _losses("whole")
    assert all(torch.equal(resumed.weights[name], whole.weights[name]) for name in whole.weights)


CLIPPED = {
    "clip_grad": {"max_norm": 1},
    "paramwise_cfg": {"norm_decay_mult": 0},
    "constructor": "LearningRateDecayOptimizerConstructor",
}
AMP = {"type": "AmpOptimWrapper", "loss_scale": "dynamic"}
BF16 = {"type": "BFloat16OptimWrapper"}
FP16 = {"type": "Float16OptimWrapper"}
FLOAT32 = {"type": "GuardedOptimWrapper"}


@pytest.mark.parametrize(
    ("config", "precision", "expected"),
    [
        ({}, "float32", FLOAT32),
        ({}, "bf16", BF16),
        ({}, "fp16", FP16),
        (AMP, "float32", FLOAT32),
        (AMP, "tf32", FLOAT32),
        (AMP | {"dtype": "bfloat16"}, "bf16", BF16),
        (AMP | {"dtype": "bfloat16"}, "fp16", FP16 | {"loss_scale": "dynamic"}),
        ({"type": "ApexOptimWrapper"}, "float32", {"type": "ApexOptimWrapper"}),
    ],
)
def test_precision_chooses_the_optimizer_wrapper_and_leaves_its_settings(
    config: dict[str, Any], precision: Any, expected: dict[str, Any]
) -> None:
    assert optimizer_wrapper(config | CLIPPED, precision) == expected | CLIPPED


@pytest.mark.parametrize(("optimizer", "is_fused"), [("AdamW", True), ("RMSprop", False)])
def test_an_optimizer_without_a_fused_kernel_replaces_one_that_has_it(
    optimizer: str, is_fused: bool
) -> None:
    config = {"optimizer": {"type": optimizer, "lr": 0.1, "fused": True}}
    made = optimizer_wrapper(config, "float32")
    assert ("fused" in made["optimizer"]) == is_fused
    assert config["optimizer"]["fused"]


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_switched_in_products_and_in_convolutions(allowed: bool) -> None:
    allow_tf32(allowed)
    assert torch.backends.cuda.matmul.allow_tf32 is allowed
    assert torch.backends.cudnn.allow_tf32 is allowed


class _Model(nn.Module):
    """As small as can be with the parts of a segmentor."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3)
        self.decode_head = nn.ModuleList([nn.Conv2d(4, 2, 1)])


def test_parts_are_compiled_for_training_and_keep_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Any]) -> Any:
        graphs.append(len(inputs))
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    model = _Model()
    names = list(model.state_dict())
    compile_parts(model)
    assert list(model.state_dict()) == names

    def run(size: int) -> None:
        model.decode_head[0].forward(model.backbone(torch.ones(1, 3, size, size)))

    model.eval()
    run(8)
    assert not graphs
    model.train()
    run(8)
    run(8)
    assert len(graphs) == 2
    model.eval()
    run(9)  # a validation image of another size
    assert len(graphs) == 2


def test_a_compiled_part_computes_what_it_did() -> None:
    missing = missing_tool()
    if missing:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"needs what torch.compile needs: {missing}")
    torch.manual_seed(0)
    model, image = _Model(), torch.randn(1, 3, 8, 8)
    expected = model.backbone(image)
    compile_parts(model)
    found = model.backbone(image)
    torch.testing.assert_close(found, expected)
    gradient = torch.autograd.grad(found.square().sum(), model.backbone.weight)
    torch.testing.assert_close(
        gradient, torch.autograd.grad(expected.square().sum(), model.backbone.weight)
    )


def test_compile_without_a_compiler_is_refused_by_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert missing_tool() == "there is no C++ compiler no-such-compiler"
    with pytest.raises(UserError, match="Install g"):
        require_tools("one")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16", "fp16"])
def test_each_precision_trains_and_resumes_on_a_gpu(precision: str, short: Path) -> None:
    settings = f"devices: 1\n    precision: {precision}"
    _train("float32", "devices: 1", stop=True)
    assert _train("run", settings, stop=True).iteration == 1
    saved = torch.load(_folder("run") / "checkpoints/iteration-1.pth", weights_only=True)
    assert ("loss_scaler" in saved["optimizer"]) is (precision == "fp16")
    assert _train("run", settings).finished
    assert torch.backends.cudnn.allow_tf32 is (precision == "tf32")
    assert _losses("run")[0] == pytest.approx(_losses("float32")[0], rel=0.005)

"""A process starts without the modules it does not use, and they still work in it."""

import json
import subprocess
import sys

_TRAINING = """
import sys
import isnet.cli
import torch
from isnet.deferred_imports import defer_dynamo
from isnet.mmseg_import import import_mmseg

import_mmseg()
import isnet.training.trainer

defer_dynamo()
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.SGD([weight], lr=0.5, momentum=0.9)
scheduler = torch.optim.lr_scheduler.LinearLR(optimizer)
for _ in range(2):
    optimizer.zero_grad()
    weight.sum().backward()
    optimizer.step()
    scheduler.step()
    optimizer.load_state_dict(optimizer.state_dict())
"""
_COUNTED = """
import json, sys
from isnet.mmseg_import import import_mmseg

import_mmseg()
import torch
from isnet.inference import inference_cost

inference_cost.raw_logits = lambda model, x: model(x)
flops = inference_cost.count_flops(torch.nn.Conv2d(3, 8, 3, padding=1), torch.zeros(1, 3, 16, 16))
print(json.dumps([flops, sorted({"sympy", "torch._dynamo.symbolic_convert"} & set(sys.modules))]))
"""
_UNUSED = (
    "torch._inductor",
    "torch.distributed.fsdp",
    "sympy",
    "matplotlib",
    "scipy.optimize",
    "ftfy",
)


_FINISHED = """
import sys
from isnet.cli.dispatch import Command
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

Plan.of(load_params()).write_stage_settings()
for function in ("train:train", "evaluate:evaluate", "dataset_stages:convert"):
    Command("stage", "", f"isnet.pipeline.{function}").load_function()
"""
"""What a stage imports before it finds that its work is finished."""
_NEEDED_BY_WORK = (
    *("torch", "mmseg", "mmcv", "cv2", "mlflow", "pandas", "sklearn", "plotly"),
    *("isnet.reporting.index_page", "isnet.reporting.labels_page", "isnet.training.trainer"),
)


def _run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout


def test_a_training_starts_without_what_it_does_not_use() -> None:
    modules = f"print([name for name in {_UNUSED} if name in sys.modules])\n"
    collections = "print(gc.isenabled(), gc.get_freeze_count() > 100_000)\n"  # imports are frozen
    found = _run(f"import gc{_TRAINING}{modules}{collections}")
    assert found.split("\n")[:-1] == ["[]", "True True"]


def test_flops_are_counted_without_the_compiler() -> None:
    told = _run(_COUNTED)
    assert json.loads(told) == [2 * 8 * 3 * 9 * 16 * 16, []]


def test_a_finished_stage_starts_without_what_only_its_work_needs() -> None:
    modules = f"print([name for name in {_NEEDED_BY_WORK} if name in sys.modules])\n"
    # Pydantic and torch search source files for docstrings and line numbers.
    sources = "print([name for name, entry in linecache.cache.items() if len(entry) > 1])\n"
    found = _run(f"import linecache{_FINISHED}{modules}{sources}")
    assert found.split("\n")[:-1] == ["[]", "[]"]


def test_deferred_modules_work_when_they_are_used() -> None:
    found = _run(
        _TRAINING
        + """
import numpy as np
import torch._dynamo.utils
from mmseg.datasets.transforms.transforms import gaussian_filter
from mmseg.models.assigners.hungarian_assigner import linear_sum_assignment

print(gaussian_filter(np.ones((3, 3)), sigma=1.0).sum().round(6))
print(linear_sum_assignment(np.eye(2))[1].tolist())
print(torch._dynamo.utils is sys.modules["torch._dynamo.utils"], torch._dynamo.config.suppress_errors)
print(torch.compile(lambda x: x + 1, backend="eager")(weight.detach()).shape)
from torch.distributed.fsdp import FullyShardedDataParallel
print(issubclass(FullyShardedDataParallel, torch.nn.Module))
"""
    )
    assert found.split("\n")[:-1] == ["9.0", "[1, 0]", "True False", "torch.Size([2])", "True"]


def test_the_import_of_mmseg_leaves_a_users_program_as_it_is() -> None:
    program = """
import gc, inspect, weakref
from isnet.deferred_imports import import_cheaply
class Node: pass
node = Node()
node.itself, gone = node, weakref.ref(node)
with import_cheaply():
    inspect.stack()
del node
gc.collect()
print(gone() is None)
"""
    assert _run(program) == "True\n"

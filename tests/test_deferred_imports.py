"""A process that trains starts without the modules it does not use, and they still work in it."""

import subprocess
import sys

_TRAINING = """
import sys
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
_UNUSED = (
    "torch._inductor",
    "torch.distributed.fsdp",
    "sympy",
    "matplotlib",
    "scipy.optimize",
    "ftfy",
)


def _run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", _TRAINING + program], check=True, capture_output=True, text=True
    ).stdout


def test_a_training_starts_without_modules_it_does_not_use() -> None:
    found = _run(f"print([name for name in {_UNUSED} if name in sys.modules])\n")
    assert found.strip() == "[]"


def test_deferred_modules_work_when_they_are_used() -> None:
    found = _run("""
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
""")
    assert found.split("\n")[:-1] == ["9.0", "[1, 0]", "True False", "torch.Size([2])", "True"]

"""Running out of memory: one line with what was going on and what needs less."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper
from small_jobs import small_job
from torch import nn

from isnet.errors import UserError
from isnet.training.out_of_memory import explain_out_of_memory
from isnet.training.train_job import TrainJob

ONE = small_job(8, 8)


def _line(error: BaseException, job: TrainJob = ONE) -> str:
    with pytest.raises(UserError) as caught, explain_out_of_memory(job, iteration=lambda: 12):
        raise error
    assert caught.value.__cause__ is error
    return str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_every_form_of_it_is_recognised(error: BaseException) -> None:
    line = _line(error)
    assert line.startswith("devices: cpu: out of memory in setting up after iteration 12: ")
    assert re.search(r": peak [0-9.]+ of [0-9.]+ GB\.", line)
    assert "\n" not in line


def test_other_errors_pass() -> None:
    for error in (RuntimeError("shape mismatch"), OSError(errno.ENOSPC, "No space left on device")):
        with pytest.raises(type(error)) as caught, explain_out_of_memory(ONE, iteration=int):
            raise error
        assert caught.value is error


def test_what_changes_the_training_least_is_named_first() -> None:
    line = _line(MemoryError(), small_job(12, 6, devices="2"))
    asked = [
        "{batch_size: 3}} (the global batch stays 12: 2 are accumulated)",
        "precision: bf16",
        "crop_size",
        "devices: 4",
    ]
    assert [line.index(part) for part in asked] == sorted(line.index(part) for part in asked)


def test_what_is_done_already_or_would_not_help_is_not_named() -> None:
    line = _line(MemoryError(), small_job(4, 1, precision="bf16"))
    assert "crop_size" in line
    for absent in ("batch_size", "precision", "devices: 2"):
        assert absent not in line
    assert "batch_size: 1}} (the global batch stays 3: 3 are" in _line(
        MemoryError(), small_job(3, 3)
    )
    assert "devices: 4" not in _line(MemoryError(), small_job(6, 3, devices="2"))


class _Greedy(torch.autograd.Function):
    """Finds no memory on the way back."""

    @staticmethod
    def forward(context: Any, value: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")


class _GreedySGD(torch.optim.SGD):
    def step(self, closure: Any = None) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize("phase", ["backward pass", "optimizer step"])
def test_the_phase_is_named(phase: str) -> None:
    model = nn.Linear(2, 1)
    kind = _GreedySGD if phase == "optimizer step" else torch.optim.SGD
    wrapper = OptimWrapper(optimizer=kind(model.parameters(), lr=0.1))
    loss = model(torch.ones(1, 2)).sum()
    if phase == "backward pass":
        loss = _Greedy.apply(loss)  # type: ignore[no-untyped-call]
    with (
        pytest.raises(UserError, match=f"in the {phase} after iteration 3"),
        explain_out_of_memory(ONE, iteration=lambda: 3),
    ):
        wrapper.update_params(loss)


def test_validation_has_another_hint() -> None:
    def val_step() -> None:
        raise MemoryError

    with (
        pytest.raises(UserError, match=r"in validation .*mode: slide") as caught,
        explain_out_of_memory(ONE, iteration=int),
    ):
        val_step()
    assert "batch_size" not in str(caught.value)


LIMITED = """
import resource, torch
from isnet.training.out_of_memory import explain_out_of_memory
from isnet.errors import UserError
from small_jobs import small_job

limit = 16_000_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    with explain_out_of_memory(small_job(4, 4), iteration=lambda: 7):
        torch.empty(64_000_000_000, dtype=torch.uint8)
except UserError as error:
    print(error)
"""


def test_a_limit_that_is_met_is_named() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # for small_jobs
    result = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.startswith("devices: cpu: out of memory in setting up after iteration 7: ")
    total = float(result.stdout.partition(" GB.")[0].rpartition(" of ")[2])
    assert total <= 16
    assert "{batch_size: 2}}" in result.stdout
    assert not result.stderr

"""The visible GPUs are those that CUDA would use."""

from __future__ import annotations

from typing import Any

import pytest
from stand_in_gpus import show_gpus

from isnet.machine.gpus import gpu_models, visible_gpus

UUID = "GPU-{0}{0}{0}{0}{0}{0}{0}{0}-1111-2222-3333-444444444444"
MIG = "MIG-{0}{0}{0}{0}{0}{0}{0}{0}-5555-6666-7777-888888888888"


def _gpus(count: int, mig_of_last: int = 0) -> list[dict[str, Any]]:
    gpus: list[dict[str, Any]] = [{"uuid": UUID.format(number)} for number in range(count)]
    gpus[-1]["mig"] = [{"uuid": MIG.format(number)} for number in range(mig_of_last)]
    return gpus


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [UUID.format(0), UUID.format(1), MIG.format(0), MIG.format(1)]),
        ("1,0", [UUID.format(1), UUID.format(0)]),
        ("0,0", [UUID.format(0)]),
        ("GPU-1111", [UUID.format(1)]),
        (MIG.format(1), [MIG.format(1)]),
        ("2", [MIG.format(0)]),
        ("0,-1,1", [UUID.format(0)]),
        ("7", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_visible_gpus_are_those_that_cuda_would_use(
    monkeypatch: pytest.MonkeyPatch, given: str | None, expected: list[str]
) -> None:
    show_gpus(monkeypatch, _gpus(3, mig_of_last=2))
    if given is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert visible_gpus() == expected


def test_gpus_of_other_jobs_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm restricts a job to its devices, and numbers them from 0."""
    gpus = _gpus(2)
    gpus[0]["denied"] = True
    show_gpus(monkeypatch, gpus)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert visible_gpus() == [UUID.format(1)]


def test_models_are_named_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpus(monkeypatch, _gpus(2))
    assert gpu_models() == ["NVIDIA H200, 143771 MiB"] * 2
    show_gpus(monkeypatch, None)
    assert gpu_models() == []

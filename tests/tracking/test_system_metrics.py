"""System metrics of a training; the GPU driver is a stand-in for NVML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in_gpus import show_gpus

from isnet.tracking.system_metrics import SystemSampler, gpu_figures

UUID = "GPU-{0}{0}{0}{0}{0}{0}{0}{0}-1111-2222-3333-444444444444"
GPU_1 = UUID.format(1)


@pytest.fixture(autouse=True)
def _driver(monkeypatch: pytest.MonkeyPatch) -> None:
    percents = [0, 10, 20, None]
    gpus = [{"uuid": UUID.format(n), "percent": percent} for n, percent in enumerate(percents)]
    show_gpus(monkeypatch, gpus)


@pytest.mark.parametrize(
    ("given", "percent"),
    [
        ("2", {"gpu0_percent": 20.0}),
        (f"2,{GPU_1}", {"gpu0_percent": 20.0, "gpu1_percent": 10.0}),
        ("3", {}),
        ("", {}),
        ("1,-1,2", {"gpu0_percent": 10.0}),
        ("MIG-11111111-5555", {}),
        (None, {"gpu0_percent": 0.0, "gpu1_percent": 10.0, "gpu2_percent": 20.0}),
    ],
)
def test_only_the_gpus_of_the_job_are_shown(
    monkeypatch: pytest.MonkeyPatch, given: str | None, percent: dict[str, float]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    figures = gpu_figures()
    assert {key: value for key, value in figures.items() if key.endswith("percent")} == percent
    assert all(value == 1.049 for key, value in figures.items() if key.endswith("memory_gb"))


def test_no_driver_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpus(monkeypatch, None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert gpu_figures() == {}


def test_cores_and_memory_are_those_of_the_process_and_what_it_started(tmp_path: Path) -> None:
    code = "held = bytearray(300_000_000)\nprint(flush=True)\nwhile True: pass"
    nested = ["sh", "-c", 'sh -c \'"$0" -c "$1"; :\' "$0" "$1"; :', sys.executable, code]
    process = subprocess.Popen(nested, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        path = tmp_path / "system.jsonl"
        path.write_text('{"kind": "system", "sample": 4, "time": 1.0}\n')
        sampler = SystemSampler(path, process.pid, has_gpus=False, seconds=0.5)
        sampler.start()
        while len(path.read_text().splitlines()) < 3:
            time.sleep(0.1)
        sampler.end()
        sampler.join()
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    records = [json.loads(line) for line in path.read_text().splitlines()][1:]
    assert [record["sample"] for record in records][:2] == [5, 6]
    for record in records:
        assert 0.05 < record["cpu_cores"] < 1.5
        assert 0.3 < record["memory_gb"] < 0.5
        assert not any(key.startswith("gpu") for key in record)

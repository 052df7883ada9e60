"""What a training uses of its machine; the driver is a stand-in program `nvidia-smi`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isnet.tracking.system_metrics import SystemSampler, gpu_figures

DRIVER = """#!/usr/bin/env python3
import os, sys
assert ("-i" in sys.argv) == bool(os.environ.get("CUDA_VISIBLE_DEVICES"))  # not all of the host
UUID = "GPU-{0}{0}{0}{0}{0}{0}{0}{0}-1111-2222-3333-444444444444"
shown = [(str(n), UUID.format(n)) for n in range(4)]
if "-i" in sys.argv:
    names = sys.argv[sys.argv.index("-i") + 1].split(",")
    shown = [row for row in shown if row[0] in names or row[1] in names]
assert "--query-gpu=index,uuid,utilization.gpu,memory.used" in sys.argv
for index, uuid in shown:
    print(f"{index}, {uuid}, {'[N/A]' if index == '3' else 10 * int(index)}, 1000")
"""
GPU_1 = "GPU-11111111-1111-2222-3333-444444444444"


@pytest.fixture(autouse=True)
def _driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(DRIVER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


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


def test_no_driver_is_no_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
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

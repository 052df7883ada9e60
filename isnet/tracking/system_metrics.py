"""What a training uses of its machine: its own processes, and its own GPUs alone.

MLflow's own monitor shows every GPU of the host (mlflow/issues/13398).
"""

from __future__ import annotations

import csv
import os
import subprocess
import threading
import time
from itertools import takewhile
from pathlib import Path

import psutil

from isnet.tracking.journal import Journal
from isnet.tracking.journal_tail import JournalTail

__all__ = ["SystemSampler", "gpu_figures"]

_QUERY = "index,uuid,utilization.gpu,memory.used"
_DRIVER_SECONDS = 20.0


class SystemSampler(threading.Thread):
    """Writes a record every so often: `{"kind": "system", "sample": n, "time": unix seconds,
    "cpu_cores": cores in use, "memory_gb": 10^9 bytes, "gpu0_percent": 0..100,
    "gpu0_memory_gb": ...}`.

    Args:
        path: of the records; those of an earlier attempt are continued.
        process: whose children and grandchildren count with it, without this process.
        has_gpus: whether it uses GPUs.
        seconds: between records.
    """

    def __init__(self, path: Path, process: int, *, has_gpus: bool, seconds: float) -> None:
        super().__init__(name="system-metrics", daemon=True)
        self._journal = Journal(path)
        self._process = psutil.Process(process)
        self._has_gpus = has_gpus
        self._seconds = seconds
        self._ended = threading.Event()
        samples = [record["sample"] for record in JournalTail(path).new_records()]
        self._sample = max(samples, default=-1) + 1
        self._cpu: dict[int, float] = {}
        self._at = time.monotonic()

    def run(self) -> None:
        """Sample until `end`."""
        try:
            self._processes()
            while not self._ended.wait(self._seconds):
                record = {"kind": "system", "sample": self._sample, "time": time.time()}
                self._journal.append(record | self._processes() | self._gpus())
                self._sample += 1
        except (OSError, psutil.Error):
            return  # a full disk, or the training has gone

    def end(self) -> None:
        """Write no more."""
        self._ended.set()

    def _gpus(self) -> dict[str, float]:
        return gpu_figures() if self._has_gpus else {}

    def _processes(self) -> dict[str, float]:
        """Return cores in use since the last call, and memory; what processes share counts once."""
        now, cpu, memory = time.monotonic(), dict[int, float](), 0
        for process in [self._process, *self._process.children(recursive=True)]:
            if process.pid == os.getpid():
                continue
            try:
                times, used = process.cpu_times(), process.memory_info()
            except psutil.Error:
                continue  # it has just ended
            cpu[process.pid] = times.user + times.system
            memory += used.rss - (used.shared if cpu.keys() != {process.pid} else 0)
        spent = sum(seconds - self._cpu.get(pid, 0.0) for pid, seconds in cpu.items())
        elapsed = max(now - self._at, 1e-9)
        self._cpu, self._at = cpu, now
        return {"cpu_cores": round(spent / elapsed, 3), "memory_gb": round(memory / 1e9, 3)}


def gpu_figures() -> dict[str, float]:
    """Return utilisation (percent) and memory of the GPUs of CUDA_VISIBLE_DEVICES, numbered as
    torch does, or of all where it is not set. A part of a GPU (MIG) has no such figures.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    # Like CUDA, what follows the first name that is none is passed over.
    named = [] if given is None else [name.strip() for name in given.split(",")]
    names = list(takewhile(lambda name: name.isdecimal() or name.startswith("GPU-"), named))
    if given is not None and not names:
        return {}
    shown = _ask_driver(names)
    if given is None:
        mine: list[list[str] | None] = list(shown)
    else:
        mine = [_named(name, shown) for name in names]
    figures: dict[str, float] = {}
    for number, row in enumerate(mine):
        for key, text, unit in zip(
            ("percent", "memory_gb"), row[2:4] if row else (), (1.0, 1024**2 / 1e9), strict=False
        ):
            if text.replace(".", "", 1).isdecimal():  # not "[N/A]"
                figures[f"gpu{number}_{key}"] = round(float(text) * unit, 3)
    return figures


def _named(name: str, shown: list[list[str]]) -> list[str] | None:
    return next((row for row in shown if row[0] == name or row[1].startswith(name)), None)


def _ask_driver(names: list[str]) -> list[list[str]]:
    """Return the rows of nvidia-smi: index, UUID, percent, MiB."""
    only = ["-i", ",".join(names)] if names else []
    try:
        answer = subprocess.run(
            ["nvidia-smi", *only, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_DRIVER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = csv.reader(answer.stdout.splitlines(), skipinitialspace=True)
    return [row for row in rows if len(row) == 4]

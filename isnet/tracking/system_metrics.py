"""Samples system metrics of a training: CPU and memory of its processes, and use of its GPUs.

MLflow's own monitor records every GPU of the host (mlflow/issues/13398).
"""

import os
import threading
import time
from pathlib import Path

import psutil

from isnet.machine.gpus import gpu_usage
from isnet.tracking.journal import Journal, journal_records


class SystemSampler(threading.Thread):
    """Thread that appends system metrics of a training to the file `path` every `seconds`.

    The records are `{"kind": "system", "sample": n, "time": Unix seconds, "cpu_cores": cores in
    use, "memory_gb": 10^9 bytes, "gpu0_percent": 0..100, "gpu0_memory_gb": ...}`. Samples of an
    earlier start of the training are continued. `process` is the id of the measured process; its
    descendants count with it, except this process.
    """

    def __init__(self, path: Path, process: int, *, has_gpus: bool, seconds: float = 30.0) -> None:
        super().__init__(name="system-metrics", daemon=True)
        self._journal = Journal(path)
        self._process = psutil.Process(process)
        self._has_gpus = has_gpus
        self._seconds = seconds
        self._ended = threading.Event()
        samples = [record["sample"] for record in journal_records(path)]
        self._sample = max(samples, default=-1) + 1
        self._cpu: dict[int, float] = {}
        self._at = time.monotonic()

    def run(self) -> None:
        """Append samples until `end` is called or the measured process has ended."""
        try:
            self._processes()
            while not self._ended.wait(self._seconds):
                record = {"kind": "system", "sample": self._sample, "time": time.time()}
                gpus = gpu_figures() if self._has_gpus else {}
                self._journal.append(record | self._processes() | gpus)
                self._sample += 1
        except (OSError, psutil.Error):
            return  # a full disk, or the training has ended

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()

    def _processes(self) -> dict[str, float]:
        """Measure the processes: CPU cores in use since the last call, and memory in 10^9 bytes.

        Shared memory counts once.
        """
        now, cpu, memory = time.monotonic(), dict[int, float](), 0
        for process in [self._process, *self._process.children(recursive=True)]:
            if process.pid == os.getpid():
                continue
            try:
                times, used = process.cpu_times(), process.memory_info()
            except psutil.Error:
                continue  # the process has just ended
            cpu[process.pid] = times.user + times.system
            shared = getattr(used, "shared", 0)  # not on macOS
            memory += used.rss - (shared if cpu.keys() != {process.pid} else 0)
        spent = sum(seconds - self._cpu.get(pid, 0.0) for pid, seconds in cpu.items())
        elapsed = max(now - self._at, 1e-9)
        self._cpu, self._at = cpu, now
        return {"cpu_cores": round(spent / elapsed, 3), "memory_gb": round(memory / 1e9, 3)}


def gpu_figures() -> dict[str, float]:
    """Return utilisation (percent) and memory of the visible GPUs, numbered as in torch."""
    return {
        f"gpu{number}_{key}": value
        for number, usage in enumerate(gpu_usage())
        for key, value in usage.items()
    }

"""Starts the processes of a run on this machine, watches over them, and says once how they ended.

Not torchrun: on a signal it raises a traceback of its own, exits with 1 whatever the ranks say,
does not pass on SIGUSR1 and SIGURG, and leaves orphans when it is killed. Ranks that torchrun or
srun has started, on several machines, are trained all the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from isnet.engine.held_file import held_descriptors
from isnet.engine.interruption import AT_ONCE, AT_ONCE_LINE, STOPPING, Insistence
from isnet.engine.rank import Report, rank_environment
from isnet.errors import UserError
from isnet.params import Devices

__all__ = ["launch"]

_BETWEEN_LOOKS = 0.05  # seconds


def launch(arguments: list[str], devices: Devices) -> int:
    """Run `isnet ARGUMENTS` in every process of `devices` on this machine; return the exit code.

    Stopping signals are passed on to all ranks, and what they make of it counts; a second SIGINT
    kills them. Where one fails, the others are ended.

    Raises:
        UserError: the devices are not all on this machine.
    """
    if devices.nodes > 1:
        raise UserError(
            f"devices: {devices} spans {devices.nodes} machines",
            where="params.yaml: runs",
            cure="Start it through torchrun on each of them, or choose the GPUs of one machine",
        )
    command = [sys.executable, "-m", "isnet", *arguments]
    with (
        tempfile.TemporaryDirectory(prefix="isnet-", ignore_cleanup_errors=True) as folder,
        _Ranks(devices.per_node, Path(folder)) as ranks,
    ):
        ranks.start(command, os.environ | _shared(devices))
        return ranks.wait()


def _shared(devices: Devices) -> dict[str, str]:
    """Return what all ranks get: their share of the cores, and quiet on one machine."""
    cores = len(os.sched_getaffinity(0))
    shared = {
        "OMP_NUM_THREADS": str(max(1, cores // devices.per_node)),
        "GLOO_SOCKET_IFNAME": "lo",  # else it looks up the host's name, which may have no address
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # else each rank complains when another one has gone
    }
    return {name: os.environ.get(name) or value for name, value in shared.items()}


class _Ranks:
    """The processes of a run: rank `n` is the n-th."""

    def __init__(self, count: int, folder: Path) -> None:
        self.count = count
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.heard: list[int] = []
        self.forwarded = 0
        self.insistence = Insistence()
        self.at_once = False

    def __enter__(self) -> _Ranks:
        self.before = {number: signal.signal(number, self._hear) for number in STOPPING}
        return self

    def __exit__(self, *exception: object) -> None:
        self._kill()
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)
        self.at_once |= self.insistence.heard(number)

    def start(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start all; they are born with stopping signals held back, until they can handle them."""
        with _held_back():
            for rank in range(self.count):
                own = {**environment, **rank_environment(rank, self.count, self.folder)}
                self.processes.append(
                    subprocess.Popen(command, env=own, pass_fds=held_descriptors())
                )

    def wait(self) -> int:
        """Pass signals on until all have ended, or one has failed; return the exit code."""
        while True:
            self._forward()
            if self.at_once:
                return _tell(AT_ONCE, AT_ONCE_LINE)
            codes = [process.poll() for process in self.processes]
            if any(codes):
                return self._verdict(codes)
            if None not in codes:
                return 0
            time.sleep(_BETWEEN_LOOKS)

    def _forward(self) -> None:
        while self.forwarded < len(self.heard):
            for process in self.processes:
                process.send_signal(self.heard[self.forwarded])
            self.forwarded += 1

    def _verdict(self, codes: list[int | None]) -> int:
        """Say what the first failure was: those of the others follow from it."""
        for rank, code in enumerate(codes):
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                guess = " (out of memory?)" if -code == signal.SIGKILL else ""
                who = f"rank {rank} (pid {self.processes[rank].pid})"
                return _tell(1, f"isnet: {who} was killed by {name}{guess}")
        reports = [Report.read(self.folder, rank) for rank, code in enumerate(codes) if code]
        told = [report for report in reports if report is not None]
        if told:
            first = min(told, key=lambda report: report.seconds)
            return _tell(first.status, first.text)
        return next(code for code in codes if code)  # it has told its end itself

    def _kill(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def _tell(status: int, text: str) -> int:
    print(text, file=sys.stderr, flush=True)
    return status


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

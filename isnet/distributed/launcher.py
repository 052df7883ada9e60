"""Starts the processes of a run on this machine, watches over them, and says once how they ended.

Not torchrun: on a signal it raises a traceback of its own, exits with 1 whatever the ranks say,
does not pass on SIGUSR1 and SIGURG, and leaves orphans when it is killed. On several machines one
launcher runs on each. Ranks that torchrun has started are trained all the same.
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

from isnet.distributed.node import Node
from isnet.distributed.rank import RankReport, rank_environment
from isnet.distributed.stop_signals import (
    ABORTED,
    ABORTED_MESSAGE,
    STOP_SIGNALS,
    SecondInterrupt,
    StopRequest,
)
from isnet.io.file_lock import lock_descriptors
from isnet.settings.params import Devices

__all__ = ["launch"]

_BETWEEN_LOOKS = 0.05  # seconds


def launch(
    arguments: list[str], devices: Devices, node: Node, work: Path, stop_request: StopRequest
) -> int:
    """Run `isnet ARGUMENTS` in every process that `devices` has on this machine; return the exit
    code.

    Stopping signals are passed on to all ranks, and what they make of it counts; a second SIGINT
    kills them. Where one fails, the others are ended.

    Args:
        arguments: the command line.
        devices: how many processes.
        node: this machine; the others have a launcher of their own.
        work: a folder that all of them see.
        stop_request: remembers a stopping signal.
    """
    command = [sys.executable, "-m", "isnet", *arguments]
    with (
        tempfile.TemporaryDirectory(prefix="isnet-", ignore_cleanup_errors=True) as folder,
        _meeting(node, work, Path(folder)) as meeting,
        _Ranks(devices, node, Path(folder), stop_request) as ranks,
    ):
        ranks.start(command, os.environ | _shared(devices, node), meeting)
        return ranks.wait()


def _shared(devices: Devices, node: Node) -> dict[str, str]:
    """Return what all ranks get: their share of the cores, and quiet."""
    cores = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    shared = {
        "GLOO_SOCKET_IFNAME": node.interface,
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # else each rank complains when another one has gone
    }
    given = {name: os.environ.get(name) or value for name, value in shared.items()}
    return given | {"OMP_NUM_THREADS": str(max(1, cores // devices.per_node))}


@contextlib.contextmanager
def _meeting(node: Node, work: Path, folder: Path) -> Iterator[Path]:
    """Give the file by which the ranks meet: on one machine nobody else's business."""
    if node.count == 1:
        yield folder / "meeting"
        return
    file = work / f"meeting-{node.meeting}"
    try:
        yield file
    finally:
        if node.index == 0:
            file.unlink(missing_ok=True)


class _Ranks:
    """The processes of a run: rank `n` is the n-th."""

    def __init__(
        self, devices: Devices, node: Node, folder: Path, stop_request: StopRequest
    ) -> None:
        self.devices = devices
        self.node = node
        self.folder = folder
        self.stop_request = stop_request
        self.processes: list[subprocess.Popen[bytes]] = []
        self.heard: list[int] = []
        self.forwarded = 0
        self.insistence = SecondInterrupt()
        self.at_once = False

    def __enter__(self) -> _Ranks:
        self.before = {number: signal.signal(number, self._hear) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        self._kill()
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)
        self.stop_request.signal_name = self.stop_request.signal_name or signal.Signals(number).name
        self.at_once |= self.insistence.heard(number)

    def start(self, command: list[str], environment: Mapping[str, str], meeting: Path) -> None:
        """Start all; they are born with stopping signals held back, until they can handle them."""
        with _held_back():
            for local in range(self.devices.per_node):
                own = rank_environment(local, self.devices, self.node, self.folder, meeting)
                self.processes.append(
                    subprocess.Popen(
                        command, env={**environment, **own}, pass_fds=lock_descriptors()
                    )
                )

    def wait(self) -> int:
        """Pass signals on until all have ended, or one has failed; return the exit code."""
        while True:
            self._forward()
            if self.at_once:
                return _tell(ABORTED, ABORTED_MESSAGE)
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
        first = self.node.index * self.devices.per_node
        for rank, code in enumerate(codes, first):
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                guess = " (out of memory?)" if -code == signal.SIGKILL else ""
                who = f"rank {rank} (pid {self.processes[rank - first].pid})"
                return _tell(1, f"isnet: {who} was killed by {name}{guess}")
        reports = [
            RankReport.read(self.folder, rank) for rank, code in enumerate(codes, first) if code
        ]
        told = [report for report in reports if report is not None]
        if told:
            cause = min(told, key=lambda report: report.seconds)
            return _tell(cause.status, cause.text)
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
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

"""Starts the ranks of a run on this node, forwards signals to them, and prints the first failure.

A run on several nodes has one launcher on each. torchrun can start the ranks too, but has
disadvantages. They were measured in torch 2.14.1 with two ranks and
`--signals-to-handle=SIGTERM,SIGINT,SIGUSR1,SIGURG --shutdown-timeout=20`:

- All four signals reach the ranks. When the ranks then exit with 75, torchrun exits with 1 and
  prints a traceback of 34 lines.
- If a rank exits with 75 by itself, torchrun also exits with 1, and prints 40 lines.
- If torchrun is killed by SIGKILL, its ranks continue as orphans.
- torchrun cannot pass the run lock to the ranks.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Self

from isnet.distributed.node import Node
from isnet.distributed.stop_signals import ABORTED, ABORTED_MESSAGE, STOP_SIGNALS, StopRequest
from isnet.io.atomic_files import read_json
from isnet.io.lock_owner import lock_descriptors
from isnet.machine.host_resources import usable_cores
from isnet.settings.params import Devices

_POLL_SECONDS = 0.05


def launch(
    arguments: list[str], devices: Devices, node: Node, work: Path, stop_request: StopRequest
) -> int:
    """Run `isnet ARGUMENTS` in all ranks of this node and return the exit code.

    Stop signals are forwarded to all ranks, and the exit code is then that of the ranks. A second
    SIGINT kills the ranks. When one rank fails, the others are killed.

    Args:
        arguments: command-line arguments of `isnet`.
        devices: the devices of the run, which determine the numbers of ranks and nodes.
        node: this node.
        work: a folder that all nodes can read and write.
        stop_request: records a stop signal.
    """
    with contextlib.ExitStack() as stack:
        folder = tempfile.TemporaryDirectory(prefix="isnet-", ignore_cleanup_errors=True)
        reports = Path(stack.enter_context(folder))
        rendezvous = reports / "rendezvous"  # rank 0 stores its address there
        if node.count > 1:
            rendezvous = work / f"rendezvous-{node.step}"
            if node.index == 0:
                stack.callback(rendezvous.unlink, missing_ok=True)
        ranks = stack.enter_context(_Ranks(node.index * devices.per_node, reports, stop_request))
        command = [sys.executable, "-m", "isnet", *arguments]
        ranks.start(command, _environments(devices, node, reports, rendezvous))
        return ranks.wait()


def _environments(
    devices: Devices, node: Node, reports: Path, rendezvous: Path
) -> list[dict[str, str]]:
    """Return the environment of each rank of this node. Ranks get equal shares of the CPU cores."""
    cores = int(os.environ.get("OMP_NUM_THREADS") or usable_cores())
    defaults = {
        "GLOO_SOCKET_IFNAME": node.interface,
        "TORCH_CPP_LOG_LEVEL": "ERROR",  # else each rank warns when another one has ended
    }
    shared = {
        **os.environ,
        **{name: os.environ.get(name) or value for name, value in defaults.items()},
        "OMP_NUM_THREADS": str(max(1, cores // devices.per_node)),
        "WORLD_SIZE": str(devices.processes),
        "LOCAL_WORLD_SIZE": str(devices.per_node),
        "ISNET_LAUNCHER": str(os.getpid()),
        "ISNET_REPORTS": str(reports),
        "ISNET_RENDEZVOUS": str(rendezvous),
        "ISNET_ADDRESS": node.address,
    }
    return [
        {**shared, "RANK": str(node.index * devices.per_node + local), "LOCAL_RANK": str(local)}
        for local in range(devices.per_node)
    ]


class _Ranks:
    """Context manager for the processes of this node's ranks, which are killed on exit.

    `first` is the number of the node's first rank, `reports` the folder for the ranks' errors.
    """

    def __init__(self, first: int, reports: Path, stop_request: StopRequest) -> None:
        self.first, self.reports, self.stop_request = first, reports, stop_request
        self.processes: list[subprocess.Popen[bytes]] = []
        self.signals: list[int] = []  # received, and not forwarded to the ranks yet
        self.is_aborted = False

    def __enter__(self) -> Self:
        self.handlers = {number: signal.signal(number, self._handle) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)
        self.is_aborted |= self.stop_request.record(number)

    def start(self, command: list[str], environments: list[dict[str, str]]) -> None:
        """Start one rank per environment. Stop signals are blocked until it installs handlers."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            for environment in environments:
                process = subprocess.Popen(command, env=environment, pass_fds=lock_descriptors())
                self.processes.append(process)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def wait(self) -> int:
        """Forward signals until all ranks have ended or one has failed; return the exit code."""
        while True:
            while self.signals:
                number = self.signals.pop(0)
                for process in self.processes:
                    process.send_signal(number)
            if self.is_aborted:
                return _print_end(ABORTED, ABORTED_MESSAGE)
            codes = [process.poll() for process in self.processes]
            if any(codes):
                return self._print_failure(codes)
            if None not in codes:
                return 0
            time.sleep(_POLL_SECONDS)

    def _print_failure(self, codes: list[int | None]) -> int:
        """Print the signal that killed a rank, or the first error of one; return the exit code."""
        for rank, (code, process) in enumerate(zip(codes, self.processes, strict=True), self.first):
            if code is not None and code < 0:
                name = signal.Signals(-code).name
                guess = " (out of memory?)" if -code == signal.SIGKILL else ""
                line = f"isnet: rank {rank} (pid {process.pid}) was killed by {name}{guess}"
                return _print_end(1, line)
        failed = [rank for rank, code in enumerate(codes, self.first) if code]
        reports = [read_json(self.reports / f"rank-{rank}.json") for rank in failed]
        if reports := list(filter(None, reports)):
            cause = min(reports, key=lambda report: report["seconds"])
            return _print_end(cause["status"], cause["text"])
        return next(code for code in codes if code)  # that rank has printed its error itself


def _print_end(status: int, text: str) -> int:
    print(text, file=sys.stderr, flush=True)
    return status

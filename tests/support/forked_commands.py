"""Commands of isnet in processes of their own that need no time to start.

`python -m isnet train` imports torch and mmseg for five seconds before it does anything. Here one
process imports them, and each command is a fork of it: with its own process id, session,
environment, folder and files, so that signals, locks and files are those of a real start. Tests
whose subject is the start itself use `subprocess`.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fork_server
from filelock import FileLock
from repository import REPOSITORY

__all__ = ["ForkedCommand", "call_in_ranks", "code_of_call", "run_forked", "write_program"]


_SERVER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",  # threads that wait leave the cores to other tests
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # a fork can use CUDA only if the server has not
}


@functools.cache
def _server() -> str:
    """Return the path of the server's socket; the first process of a test run starts the server."""
    run, owner = os.environ.get("PYTEST_XDIST_TESTRUNUID"), os.getppid()  # of the workers
    if run is None:
        run, owner = uuid.uuid4().hex, os.getpid()
    folder = Path(tempfile.gettempdir(), f"isnet-fork-{run}")
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "socket"
    with FileLock(folder / "lock"):
        if not path.exists():
            server = subprocess.Popen(
                [sys.executable, fork_server.__file__, str(path), str(owner)],
                stdin=subprocess.DEVNULL,
                cwd=REPOSITORY,
                env=os.environ | _SERVER_ENVIRONMENT,
                start_new_session=True,
            )
            atexit.register(server.poll)  # it outlives this process
            while not path.exists():
                assert server.poll() is None, "the fork server ended"
                time.sleep(0.05)
    return str(path)


class ForkedCommand:
    """`isnet ARGUMENTS`, or some Python code, in a session of its own. See `subprocess.Popen`.

    Args:
        arguments: of the command.
        code: Python code to run instead of isnet's.
        told: the file for what it prints; by default, nobody reads that.
        environment: variables beside those of this process.
    """

    def __init__(
        self,
        *arguments: str,
        code: str = fork_server.COMMAND,
        told: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._told = told
        self.returncode: int | None = None
        request = {
            "code": code,
            "arguments": arguments,
            "folder": str(Path.cwd()),
            "environment": {**os.environ, **(environment or {})},
        }
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(_server())
        with Path(told or os.devnull).open("w") as printed, Path(os.devnull).open() as nothing:
            files = [nothing.fileno(), printed.fileno(), printed.fileno()]
            socket.send_fds(self._connection, [b" "], files)
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        self._answers = self._connection.makefile()
        self.pid = int(self._answers.readline())

    @property
    def told(self) -> str:
        """What the command has printed so far."""
        assert self._told is not None
        return self._told.read_text()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code; subprocess.TimeoutExpired after `timeout`."""
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                answer = self._connection.recv(16)
            except TimeoutError:
                raise subprocess.TimeoutExpired("isnet", timeout or 0.0) from None
            self._connection.close()
            self.returncode = int(answer)
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        try:
            return self.wait(1e-6)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def code_of_call(function: Callable[..., object], *arguments: object) -> str:
    """Return code that calls a function of a test module, for a `ForkedCommand`."""
    return (
        f"import pickle, sys; sys.path[:0] = {sys.path!r}\n"
        f"from {function.__module__} import {function.__name__}\n"
        f"{function.__name__}(*pickle.loads({pickle.dumps(arguments)!r}))\n"
    )


def call_in_ranks(function: Callable[..., object], *arguments: object) -> None:
    """Call `function(rank, *arguments)` of a test module in two processes, until both have ended."""
    with tempfile.TemporaryDirectory() as folder:
        ranks = [
            ForkedCommand(
                code=code_of_call(function, rank, *arguments), told=Path(folder, f"{rank}.txt")
            )
            for rank in range(2)
        ]
        assert [rank.wait() for rank in ranks] == [0, 0], [rank.told for rank in ranks]


_PROGRAM = """\
#!{python} -IS
import json, os, signal, socket, sys

connection = socket.socket(socket.AF_UNIX)
connection.connect({server!r})
socket.send_fds(connection, [b" "], [0, 1, 2])
arguments = sys.argv[3:] if sys.argv[1:3] == ["-m", "isnet"] else sys.argv[1:]
request = dict(arguments=arguments, folder=os.getcwd(), environment=dict(os.environ))
connection.sendall(json.dumps(request | dict(code={code!r})).encode() + b"\\n")
answers = connection.makefile()
pid = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: os.kill(pid, number))
code = int(answers.readline())
sys.exit(code if code >= 0 else 128 - code)
"""


def write_program(file: Path) -> None:
    """Write a program that runs a forked `isnet` with its own arguments and files.

    `FILE -m isnet ARGUMENTS` does the same, in place of Python.
    """
    text = _PROGRAM.format(python=sys.executable, server=_server(), code=fork_server.COMMAND)
    file.write_text(text)
    file.chmod(0o755)


def run_forked(
    *arguments: str, code: str = fork_server.COMMAND, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `isnet ARGUMENTS` to its end; all that it prints is in `stdout`."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told.txt")
        command: Any = ForkedCommand(*arguments, code=code, told=told, environment=environment)
        return subprocess.CompletedProcess(arguments, command.wait(), command.told)

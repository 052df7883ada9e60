"""Forks commands of isnet from a process that has imported all: `fork_server.py SOCKET PID`.

Each connection is one command. It brings a JSON object (`code`, `arguments`, `folder`,
`environment`) and the command's standard input, output and error. Back go its process id and, once
it has ended, its exit code. When the process PID ends, the server does, and deletes its folder.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import getpass
import importlib
import json
import logging
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

COMMAND = "from isnet.cli import program; program()"
"""The code of `python -m isnet`."""

_COMPILED = f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}"
"""Kernels that torch has compiled: kept from one test run to the next."""


_MODULES = (
    *("PIL.Image", "alembic.command", "mlflow.pyfunc"),
    *("mlflow.store.model_registry.sqlalchemy_workspace_store", "pandas"),
    *("mlflow.store.tracking.sqlalchemy_workspace_store", "mlflow.utils.search_logged_model_utils"),
    *("sklearn.metrics", "sqlalchemy.dialects.sqlite", "torch._dynamo.aot_compile_types"),
    *("torch.utils.serialization.config", "yapf.yapflib.yapf_api"),
    *("isnet.checkpoints.weights_formats", "isnet.checkpoints.weights_metadata"),
    *("isnet.distributed.launcher", "isnet.inference.dataset_evaluation"),
    *("isnet.inference.model_loader", "isnet.pipeline.trained_run", "isnet.reporting.model_card"),
    *("isnet.tracking.mlflow.model_registry", "isnet.training.trainer"),
)
"""What the stages import when they need it."""


def preload() -> None:
    """Import what the stages import, without starting anything."""
    from isnet.cli.command_table import COMMANDS
    from isnet.mmseg_import import import_mmseg

    import_mmseg()
    for command in COMMANDS:
        if command.plan:
            command.load_function()
    for name in _MODULES:
        importlib.import_module(name)
    from PIL import Image

    from isnet.inference import inference_cost

    Image.init()
    inference_cost._MAX_ROUNDS = 3  # no test of a command asks how fast a network is
    gc.freeze()  # a fork that collects garbage would copy all of it


def serve(listener: socket.socket, owner: int) -> dict[str, Any] | None:
    """Fork commands until process `owner` ends, then return None; return the request in a fork."""
    owned = os.pidfd_open(owner)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([listener, woken, owned], [], [])
        if owned in ready:
            return None
        if woken in ready:
            os.read(woken, 4096)
            _report_ends(running)
        if listener in ready:
            client, _ = listener.accept()
            request, files = _receive(client)
            if pid := os.fork():
                running[pid] = client
                for file in files:
                    os.close(file)
                continue
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            client.sendall(f"{os.getpid()}\n".encode())
            for number, file in enumerate(files):
                os.dup2(file, number)
            for opened in [listener, client, *running.values()]:
                opened.detach()
            _close_all()
            return request


def _receive(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    text, files, _, _ = socket.recv_fds(client, 1 << 16, 3)
    while not text.endswith(b"\n"):
        text += client.recv(1 << 16)
    return json.loads(text), files


def _report_ends(running: dict[int, socket.socket]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            with running.pop(ended[0]) as client, contextlib.suppress(OSError):
                client.sendall(f"{os.waitstatus_to_exitcode(ended[1])}\n".encode())


def _close_all(but: Collection[int] = ()) -> None:
    """Close all files but the standard ones and these, as the start of a program does."""
    low = 3
    for file in [*sorted(but), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(low, file)
        low = file + 1


class ForkedRank:
    """A rank that the launcher starts, forked too. It has what the launcher uses of a Popen."""

    def __init__(
        self, command: list[str], env: Mapping[str, str], pass_fds: Collection[int]
    ) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._run(command[3:], env, pass_fds))

    def _run(
        self, arguments: list[str], environment: Mapping[str, str], kept: Collection[int]
    ) -> int:
        logging.getLogger("isnet").handlers.clear()
        _close_all(but=kept)
        Path("/proc/self/comm").write_text(f"rank {environment['RANK']}")
        try:
            become("isnet", arguments, environment)
            exec(COMMAND)
        except SystemExit as end:
            return int(end.code or 0)
        except BaseException:
            traceback.print_exc()
            return 1
        finally:
            atexit._run_exitfuncs()
            sys.stdout.flush()
        return 0

    def poll(self) -> int | None:
        return self.returncode if self.returncode is not None else self._wait(os.WNOHANG)

    def wait(self) -> int | None:
        return self.returncode if self.returncode is not None else self._wait(0)

    def _wait(self, options: int) -> int | None:
        ended, status = os.waitpid(self.pid, options)
        if ended:
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def become(program: str, arguments: list[str], environment: Mapping[str, str]) -> None:
    """Make this process look like one of a program that starts now."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", _COMPILED)
    sys.argv[:] = [program, *arguments]


def main() -> None:
    """Import, then serve. A forked command returns from here as a new process would."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    preload()
    place, owner = Path(sys.argv[1]), int(sys.argv[2])
    tempfile.tempdir = str(place.parent)  # removed with what killed commands leave there
    with socket.socket(socket.AF_UNIX) as listener:
        made = place.with_suffix(".made")
        listener.bind(str(made))
        listener.listen()
        made.rename(place)  # who sees it can connect
        request = serve(listener, owner)
    if request is None:
        shutil.rmtree(place.parent, ignore_errors=True)
        return
    from isnet.distributed import launcher

    launcher.subprocess = SimpleNamespace(Popen=ForkedRank)
    become("isnet", request["arguments"], request["environment"])
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    exec(request["code"], {"__name__": "__main__"})


if __name__ == "__main__":
    main()

"""Real tracking stores for fault injection: an MLflow server, PostgreSQL, and a faulty proxy."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from isnet.pipeline.mlflow_updates import LiveTracking
from isnet.settings.params import load_params
from isnet.settings.plan import Plan
from isnet.tracking.journal import Journal
from isnet.tracking.uploader_client import LIVE

__all__ = [
    "FaultProxy",
    "Postgres",
    "Server",
    "Training",
    "found_runs",
    "free_port",
    "steps_of",
    "wait_for_all",
]

_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`mlflow server`, which keeps its address when it is restarted.

    Args:
        folder: for what it stores.
        backend: the address of its database; by default a file, which takes seconds to fill with
            tables, or is a copy of `store`.
        store: see there.
    """

    def __init__(self, folder: Path, backend: str | None = None, store: Path | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.backend = backend or f"sqlite:///{folder}/server.db"
        if store:
            shutil.copy(store, folder / "server.db")
        self.start()

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", self.backend,
            "--artifacts-destination", str(self.folder / "store"),
        ]  # fmt: skip
        log = (self.folder / "server.log").open("ab")
        # Its processes for jobs, which no run needs, each import mlflow.
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < end
                time.sleep(0.2)

    def send(self, number: int) -> None:
        os.killpg(self._process.pid, number)

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self._process.poll() is None:
            self.send(number)
            self._process.wait(30)


class Postgres:
    """A PostgreSQL server, run by the user `postgres` if the tests run as root: it refuses root."""

    @staticmethod
    def is_installed() -> bool:
        return bool(_POSTGRES)

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._as: list[str] = []
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            for parent in folder.parents[:3]:
                if parent.stat().st_uid == 0 and str(parent).startswith("/tmp/"):
                    parent.chmod(0o755)
            self._as = [
                "setpriv",
                f"--reuid={account.pw_uid}",
                f"--regid={account.pw_gid}",
                "--clear-groups",
            ]
        data = folder / "data"
        self._run(
            "initdb", "-D", str(data), "-U", "isnet", "--auth=trust", "-E", "UTF8", "--no-sync"
        )
        options = f"-p {self.port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run(
            "pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-o", options, "-w", "start"
        )
        self.uri = f"postgresql://isnet@127.0.0.1:{self.port}/postgres"

    def _run(self, program: str, *arguments: str) -> str:
        # No pipes: the server that pg_ctl starts would keep them open.
        with tempfile.TemporaryFile("w+") as output:
            subprocess.run(
                [*self._as, str(_POSTGRES[-1] / program), *arguments],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True,
            )  # fmt: skip
            output.seek(0)
            return output.read()

    def dump(self) -> str:
        return self._run(
            "pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "isnet", "postgres"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder / "data", ignore_errors=True)


class FaultProxy:
    """TCP proxy that forwards, delays, cuts connections, or answers 500.

    `fault` is "", "delay", "cut", "lose" (the request arrives, the answer is lost) or "500".
    """

    def __init__(self, target: int) -> None:
        self.fault, self.delay = "", 30.0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):  # either side may go at any time
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        while data := client.recv(1 << 16):
            if self.fault == "cut":
                return
            if self.fault == "500":
                client.sendall(
                    b"HTTP/1.1 500 Broken\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                )
                return
            if self.fault == "delay":
                time.sleep(self.delay)
            server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while (data := server.recv(1 << 16)) and self.fault != "lose":
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)  # the server has gone, or seems so

    def close(self) -> None:
        self._listener.close()


class Training:
    """A pretended training as tracking sees it: a growing journal, and results at its end."""

    def __init__(self, checkout: Path, name: str = "one", iterations: int = 6) -> None:
        results = checkout / "results/datasets/streets"
        results.mkdir(parents=True, exist_ok=True)
        plan = Plan.of(load_params())
        manifest = {"key": plan.dataset_key("streets"), "digest": "m" * 64}
        (results / "manifest.json").write_text(json.dumps(manifest))
        plan.write_stage_settings()
        self.plan, self.name, self.iterations = plan, name, iterations
        self.key = plan.train_key(name, manifest["digest"])
        self.work = plan.layout.run_work(name, self.key)
        self.journal = Journal(self.work / "journal.jsonl")

    def track(self) -> LiveTracking:
        return LiveTracking(self.plan, self.name, self.work, "m" * 64)

    def go(self, first: int, last: int) -> None:
        """Write the records of some iterations; every third is validated."""
        for iteration in range(first, last + 1):
            at = {"iteration": iteration, "time": time.time()}
            self.journal.append({"kind": "train", **at, "loss": 1 / iteration, "lr": 0.1})
            if iteration % 3 == 0:
                self.journal.append({"kind": "validation", **at, "mIoU": iteration / 1e6})

    def run_tracked(self) -> None:
        """Train from start to end, and wait for the upload."""
        with self.track() as tracking:
            self.go(1, 6)
            self.write_results()
        tracking.finish()

    def write_results(self) -> None:
        environment = {
            "git_commit": "0" * 40, "git_dirty": False, "hardware": "2 x CPU", "gpus": [],
            "packages": {"torch": "2.14.1"},
        }  # fmt: skip
        summary = {
            "run": self.name, "key": self.key, "manifest_digest": "m" * 64, "weights_sha256": "w",
            "iterations": self.iterations, "seconds": 2.0, "environment": environment,
            "started": "2026-11-22T08:00:00Z", "finished": "2026-11-22T08:01:00Z",
        }  # fmt: skip
        (self.work / "train").mkdir()
        (self.work / "train" / "train.json").write_text(json.dumps(summary))
        (self.work / "train" / "config.py").write_text("model = dict()\n")


def found_runs(uri: str) -> dict[str, Run]:
    """Return the runs of MLflow by name; names are unique."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("isnet")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    names = [run.info.run_name for run in runs]
    assert len(names) == len(set(names)), names
    return dict(zip(names, runs, strict=True))


def steps_of(uri: str, run: Run, key: str = "train/loss") -> list[int]:
    """Return the steps of a curve in the order in which they are stored."""
    history = MlflowClient(tracking_uri=uri).get_metric_history(run.info.run_id, key)
    return [metric.step for metric in history]


def wait_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the end of a training wait until everything is sent, also on a busy machine."""
    timeouts = replace(LIVE, silence=300.0, total=300.0)
    monkeypatch.setattr("isnet.pipeline.mlflow_updates.LIVE", timeouts)
    monkeypatch.setattr("isnet.pipeline.mlflow_updates._SHORT_WAIT_SECONDS", 300.0)

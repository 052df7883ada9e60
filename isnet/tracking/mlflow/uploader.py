"""Uploader process: talks to MLflow so that no training waits for a tracking store.

Started as `python -m isnet.tracking.mlflow.uploader PARENT`. Reads commands from standard input and
writes events to standard output, one JSON object per line. Ends with its parent process. Stop
signals are blocked in it, because they also reach the parent, which then sends a command.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from isnet.tracking.environment import collect_environment
from isnet.tracking.mlflow.backoff import Backoff
from isnet.tracking.mlflow.failure_reason import failure_reason
from isnet.tracking.mlflow.run_record import RunRecord, TrackingStore
from isnet.tracking.mlflow.run_upload import RunUpload, upload_runs
from isnet.tracking.system_metrics import SystemSampler

__all__ = ["main"]

_SECONDS_BETWEEN_UPLOADS = 5.0
_ORPHAN_SECONDS = 5.0
"""How long it may outlive a killed parent, to set the status of the run."""


def main(parent: int) -> None:
    """Carry out the commands of the process `parent`."""
    warnings.simplefilter("ignore")
    commands = _Commands(parent)
    while (command := commands.next(None)) is not None:
        for name, value in command["environment"].items():
            os.environ.setdefault(name, value)
        store = TrackingStore.from_json(command["store"])
        if "follow" in command:
            _follow(command, store, commands)
        else:
            records = [RunRecord.from_json(record) for record in command["upload"]]
            upload_runs(records, store, _report, attempts=command["attempts"])


def _report(event: dict[str, Any]) -> None:
    try:
        os.write(1, (json.dumps(event) + "\n").encode())
    except OSError:
        os._exit(0)  # the parent has closed the pipe


class _Commands:
    """Commands from standard input, until the parent process ends."""

    def __init__(self, parent: int) -> None:
        self._read = b""
        # End of file does not show the parent's end: forked data loading workers keep the pipe.
        self._orphaned, write_end = os.pipe()
        threading.Thread(target=_exit_with, args=(parent, write_end), daemon=True).start()

    def next(self, seconds: float | None) -> dict[str, Any] | None:
        """Return the next command; `{}` after `seconds` without one, None if the parent ended."""
        while b"\n" not in self._read:
            ready, _, _ = select.select([0, self._orphaned], [], [], seconds)
            if not ready:
                return {}
            read = os.read(0, 1 << 16) if self._orphaned not in ready else b""
            if not read:
                return None
            self._read += read
        line, _, self._read = self._read.partition(b"\n")
        command: dict[str, Any] = json.loads(line)
        return command


def _exit_with(parent: int, write_end: int) -> None:
    """Exit shortly after the parent process has ended, whatever this process waits for."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.write(write_end, b".")
    time.sleep(_ORPHAN_SECONDS)
    os._exit(0)


def _follow(command: dict[str, Any], store: TrackingStore, commands: _Commands) -> None:
    """Sample the system and upload a run while it trains, until the next command describes how it
    ended. Without that command its process was killed.
    """
    os.nice(5)  # the training's processes have priority
    record = RunRecord.from_json(command["follow"])
    sampler = SystemSampler(
        record.system, os.getppid(), has_gpus=command["gpus"], seconds=command["seconds"]
    )
    sampler.start()
    live = _LiveUpload(record, store) if command["live"] else None
    while True:
        if live:
            live.send_new()
        ended = commands.next(_SECONDS_BETWEEN_UPLOADS if live else None)
        if ended != {}:
            break
    sampler.end()
    if live:
        last = ended["ended"] if ended else command["follow"] | {"state": "interrupted"}
        live.finish(RunRecord.from_json(last))
    _report({"done": 1, "reason": None})


class _LiveUpload:
    """Uploads a run while it trains, with backoff after failures."""

    def __init__(self, record: RunRecord, store: TrackingStore) -> None:
        self._record, self._store = record, store
        self._environment = collect_environment()
        self._backoff = Backoff()
        self._upload: RunUpload | None = None

    def send_new(self) -> None:
        """Send what was added, unless a pause is on."""
        if self._backoff.may_try():
            self._try(RunUpload.send_new)

    def finish(self, record: RunRecord) -> None:
        """Upload all that is missing of the ended run, in one attempt."""
        self._record, self._upload = record, None
        self._try(RunUpload.send_all)

    def _try(self, send: Callable[[RunUpload], Any]) -> None:
        try:
            if self._upload is None:
                self._upload = RunUpload(self._record, self._store, _report, self._environment)
            send(self._upload)
        except Exception as error:
            self._upload = None  # the next one asks what has arrived
            self._backoff.fail()
            _report({"failed": failure_reason(error)})
        else:
            self._backoff.succeed()
            _report({"succeeded": 1})


if __name__ == "__main__":
    main(int(sys.argv[1]))

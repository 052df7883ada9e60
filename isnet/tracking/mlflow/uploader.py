"""Uploader process: sends runs to MLflow, so that no training waits for a tracking store.

Started as `python -m isnet.tracking.mlflow.uploader PARENT PIPE`. PARENT is the id of the parent
process. PIPE is the file descriptor of a connection that carries commands to the uploader and
events back. The uploader ends with its parent. Stop signals are blocked in the uploader, because
they also reach the parent, which then sends a command.
"""

import contextlib
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from isnet.errors import UserError
from isnet.tracking.backoff import Backoff
from isnet.tracking.environment import collect_environment
from isnet.tracking.mlflow.run_upload import Report, RunUpload, upload_runs
from isnet.tracking.mlflow.tracking_client import failure_reason
from isnet.tracking.run_record import RunRecord
from isnet.tracking.sinks.live_sink import LiveSink
from isnet.tracking.sinks.sink_upload import CurveSinks, complete_sinks
from isnet.tracking.system_metrics import SystemSampler

_SECONDS_BETWEEN_UPLOADS = 5.0
_ORPHAN_SECONDS = 5.0  # how long it may outlive a killed parent, to set the status of the run


def main(parent: int, pipe: int) -> None:
    """Carry out the commands that the process `parent` sends through `pipe`.

    `{"upload": records, "store": ..., "attempts": n}` uploads runs to MLflow, and `{"complete":
    runs, "sinks": ...}` to other sinks. `{"follow": record, "store": ..., "live": bool, "sinks":
    ..., "gpus": bool}` samples the system and uploads a run while it trains, until `{"ended":
    record}` follows. With `"live": false` nothing is sent to MLflow.
    """
    warnings.simplefilter("ignore")
    commands = _Commands(parent, pipe)
    while command := commands.next(None):
        if "follow" in command:
            _follow(command, commands)
        elif "complete" in command:
            complete_sinks(command["complete"], command["sinks"], commands.report)
        else:
            given = command["upload"], command["store"], commands.report
            upload_runs(*given, attempts=command["attempts"])


class _Commands:
    """Connection that receives commands from the parent process and sends events to it."""

    def __init__(self, parent: int, pipe: int) -> None:
        self._connection = Connection(pipe)
        self._lock = threading.Lock()
        # End of file does not show the parent's end: forked data loading workers keep it open.
        self._orphaned, write_end = os.pipe()
        threading.Thread(target=_exit_with, args=(parent, write_end), daemon=True).start()

    def next(self, seconds: float | None) -> dict[str, Any] | None:
        """Wait for the next command. Return `{}` after `seconds`, or None if the parent ended."""
        ready = wait([self._connection, self._orphaned], seconds)
        command: dict[str, Any] | None = None if ready else {}
        if self._connection in ready:
            with contextlib.suppress(EOFError, OSError):
                command = self._connection.recv()
        return command

    def report(self, event: dict[str, Any]) -> None:
        """Send an event to the parent process. Exit if the parent has closed the connection."""
        try:
            with self._lock:  # heartbeats of an upload come from a thread
                self._connection.send(event)
        except OSError:
            os._exit(0)  # the parent has closed the connection


def _exit_with(parent: int, write_end: int) -> None:
    """Exit shortly after the process `parent` has ended, even if this process is blocked.

    A byte is written to `write_end` before, so that the uploader can finish its work.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os.write(write_end, b".")
    time.sleep(_ORPHAN_SECONDS)
    os._exit(0)


def _follow(command: dict[str, Any], commands: _Commands) -> None:
    """Sample the system and upload a run while it trains, until the next command.

    That command describes how the training ended. If the connection ends without that command, the
    process of the training was killed.
    """
    os.nice(5)  # the training's processes have priority
    record: RunRecord = command["follow"]
    sampler = SystemSampler(record.system, os.getppid(), has_gpus=command["gpus"])
    sampler.start()
    live = _LiveUpload(command, commands.report) if command["live"] else None
    sinks: CurveSinks = command["sinks"]
    live_sinks = [LiveSink(name, record, sinks, commands.report) for name in sinks.names]
    for sink in live_sinks:
        sink.start()
    while True:
        if live:
            live.send_new()
        ended = commands.next(_SECONDS_BETWEEN_UPLOADS if live else None)
        if ended != {}:
            break
    sampler.end()
    record = ended["ended"] if ended else replace(record, state="interrupted")
    for sink in live_sinks:
        sink.end(record)
    if live:
        live.finish(record)
    commands.report({"done": 1, "reason": None})
    for sink in live_sinks:
        sink.join()


class _LiveUpload:
    """Uploads a run while it trains, with exponential backoff after failures."""

    def __init__(self, command: dict[str, Any], report: Report) -> None:
        self._record, self._store = command["follow"], command["store"]
        self._report = report
        self._environment = collect_environment()
        self._backoff = Backoff()
        self._upload: RunUpload | None = None

    def send_new(self) -> None:
        """Send what was added, unless paused after a failure."""
        if not self._backoff.is_paused:
            self._try(RunUpload.send_new)

    def finish(self, record: RunRecord) -> None:
        """Upload everything that MLflow lacks of the ended run, in a single try."""
        self._record, self._upload = record, None
        self._try(RunUpload.send_all)

    def _try(self, send: Callable[[RunUpload], Any]) -> None:
        try:
            if self._upload is None:
                self._upload = RunUpload(self._record, self._store, self._report, self._environment)
            send(self._upload)
        except Exception as error:
            self._upload = None  # the next one asks what has arrived
            self._backoff.start_pause()
            by_hand = isinstance(error, UserError)
            self._report({"failed": failure_reason(error), "by_hand": by_hand})
        else:
            self._backoff.reset()
            self._report({"succeeded": 1})


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

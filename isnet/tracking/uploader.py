"""Uploader process: sends runs to MLflow and other sinks, so that no training waits for them.

Started as `python -m isnet.tracking.uploader PARENT PIPE`. PARENT is the id of the parent
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
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from isnet.tracking.environment import collect_environment
from isnet.tracking.live_upload import LiveUpload, Upload
from isnet.tracking.mlflow.run_upload import RunUpload, upload_runs
from isnet.tracking.sinks.sink_upload import CurveSinks, SinkUpload, complete_sinks
from isnet.tracking.system_metrics import SystemSampler
from isnet.tracking.tracked_run import TrackedRun

_ORPHAN_SECONDS = 5.0  # how long it may outlive a killed parent, to set the status of the run


def main(parent: int, pipe: int) -> None:
    """Carry out the commands that the process `parent` sends through `pipe`.

    `{"records": [...], "store": ..., "attempts": n}` uploads runs to MLflow, and `{"complete":
    runs, "sinks": ...}` to other sinks. `{"follow": record, "store": ..., "live": bool, "sinks":
    ..., "gpus": bool}` samples the system and uploads a run while it trains, until `{"ended":
    record}` follows. With `"live": false` nothing is sent to MLflow.
    """
    warnings.simplefilter("ignore")
    commands = _Commands(parent, pipe)
    while command := commands.next():
        if "follow" in command:
            _follow(command, commands)
        elif "complete" in command:
            complete_sinks(command["complete"], command["sinks"], commands.report)
        else:
            upload_runs(**command, report=commands.report)


class _Commands:
    """Connection that receives commands from the parent process and sends events to it."""

    def __init__(self, parent: int, pipe: int) -> None:
        self._connection = Connection(pipe)
        self._lock = threading.Lock()
        # End of file does not show the parent's end: forked data loading workers keep it open.
        self._orphaned, write_end = os.pipe()
        threading.Thread(target=_exit_with, args=(parent, write_end), daemon=True).start()

    def next(self) -> dict[str, Any] | None:
        """Wait for the next command. Return None if the parent ended."""
        if self._connection in wait([self._connection, self._orphaned]):
            with contextlib.suppress(EOFError, OSError):
                command: dict[str, Any] = self._connection.recv()
                return command
        return None

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
    record: TrackedRun = command["follow"]
    sampler = SystemSampler(record.system, os.getppid(), has_gpus=command["gpus"])
    sampler.start()
    sinks: CurveSinks = command["sinks"]
    receivers: dict[str, Callable[[TrackedRun], Upload]] = {
        name: partial(SinkUpload, name, sinks=sinks) for name in sinks.names
    }
    if command["live"]:
        given = {"store": command["store"], "report": commands.report}
        receivers["MLflow"] = partial(RunUpload, environment=collect_environment(), **given)
    uploads = [LiveUpload(*receiver, record, commands.report) for receiver in receivers.items()]
    for upload in uploads:
        upload.start()
    ended = commands.next()
    sampler.end()
    for upload in uploads:
        upload.end(ended["ended"] if ended else replace(record, state="interrupted"))
    for upload in uploads:
        upload.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

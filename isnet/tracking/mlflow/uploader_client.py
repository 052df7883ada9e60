"""Starts the uploader process, sends it commands, and waits for it within limits."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

from isnet.tracking.mlflow.run_record import RunRecord, TrackingStore
from isnet.tracking.mlflow.run_upload import Report

_UPLOADER = (sys.executable, "-m", "isnet.tracking.mlflow.uploader")
_BLOCKED = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG),
)


@dataclass(frozen=True)
class Timeouts:
    """Limits on waiting for MLflow; its own defaults are a quarter of an hour for each call. The
    user's environment variables for `answer` and the retries of a call win.
    """

    answer: int
    """Seconds for one answer."""
    attempts: int
    """For a call, by MLflow, and for a run: each continues where the previous one failed."""
    silence: float
    """Seconds without any answer after which the uploader is given up."""
    total: float
    """Seconds in all."""

    @property
    def longest_silence(self) -> float:
        """`silence`, or more if the user's MLFLOW_HTTP_REQUEST_TIMEOUT needs it."""
        with contextlib.suppress(ValueError):
            given = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
            return max(self.silence, 1.5 * float(given))
        return self.silence


LIVE = Timeouts(answer=45, attempts=1, silence=10, total=10)
"""While a run trains; `silence` and `total` limit the wait at its end."""
STAGE_END = Timeouts(answer=10, attempts=1, silence=12, total=30)
"""At the end of other stages."""
SYNC = Timeouts(answer=60, attempts=2, silence=90, total=float("inf"))
"""For `isnet track sync`."""


class Uploader:
    """An uploader process, running in the background; `report` receives its events from a thread.

    Raises OSError if the process cannot be started.
    """

    def __init__(self, timeouts: Timeouts, report: Report | None = None) -> None:
        self._timeouts, self._report = timeouts, report
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._connection, child_end = Pipe()
        defaults = {
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeouts.answer),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(timeouts.attempts - 1),
            "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
            "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": str(timeouts.answer),
        }
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)  # the process inherits it
        try:
            self._process = subprocess.Popen(
                [*_UPLOADER, str(os.getpid()), str(child_end.fileno())],
                pass_fds=[child_end.fileno()],
                env=defaults | os.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # warnings of Python and MLflow
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            child_end.close()
        self._reader = threading.Thread(target=self._read_events, daemon=True)
        self._reader.start()

    def _read_events(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                event = self._connection.recv()
                self._events.put(event)
                if self._report:
                    with contextlib.suppress(OSError):  # a log on a full disk
                        self._report(event)
        self._events.put(None)

    def send(self, **command: Any) -> None:
        """Send a command, see `uploader.main`; does not wait for its result."""
        with contextlib.suppress(OSError):  # the process has died, and sends no events either
            self._connection.send(command)

    def upload(self, records: list[RunRecord], store: TrackingStore, report: Report) -> None:
        """Upload runs and pass on the events, as `upload_runs` does."""
        self.send(upload=records, store=store, attempts=self._timeouts.attempts)
        for event in self.events(self._timeouts.total):
            report(event)
            if "done" in event:
                return
        report({"done": 1, "reason": "no answer"})

    def events(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Yield events until the process ends, is silent for too long, or `seconds` are over."""
        end = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while True:
                left = min(end - time.monotonic(), self._timeouts.longest_silence)
                event = self._events.get(timeout=max(0.0, left))
                if event is None:
                    return
                yield event

    def close(self) -> None:
        """Kill the process. What it was sending arrives as a whole or not at all."""
        self._process.kill()
        self._process.wait()
        self._reader.join(5)  # it raises if the connection is closed while it reads
        self._connection.close()

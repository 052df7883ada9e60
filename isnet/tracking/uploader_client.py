"""Starts the uploader process, sends commands to it, and waits for its events with timeouts."""

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

from isnet.tracking.tracked_run import TrackedRun, TrackingStore
from isnet.tracking.upload_events import Report

_UPLOADER = (sys.executable, "-m", "isnet.tracking.uploader")
_BLOCKED = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGURG),
)


@dataclass(frozen=True)
class Timeouts:
    """Time limits and numbers of tries for uploads to MLflow.

    MLflow's own defaults are a quarter of an hour for each call. The user's environment variables
    take precedence over `answer` and over the number of tries of a call.
    """

    answer: int  # seconds to wait for one answer of MLflow
    attempts: int
    """Number of tries of each call by MLflow, and of each run by the uploader.

    A new try of a run continues where the previous one failed.
    """
    silence: float  # seconds without any answer after which the upload is given up
    total: float  # seconds that the whole upload may take

    @property
    def longest_silence(self) -> float:
        """Return `silence`, or more if the user's MLFLOW_HTTP_REQUEST_TIMEOUT requires it."""
        with contextlib.suppress(ValueError):
            given = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "")
            return max(self.silence, 1.5 * float(given))
        return self.silence


LIVE = Timeouts(answer=45, attempts=1, silence=10, total=10)
"""Limits while a run trains. `silence` and `total` limit the wait at the end of the training."""
STAGE_END = Timeouts(answer=10, attempts=1, silence=12, total=30)
"""Limits at the end of stages other than training."""
SYNC = Timeouts(answer=60, attempts=2, silence=90, total=float("inf"))
"""Limits of `isnet track sync`."""


class Uploader:
    """An uploader process in the background. `report` is called with its events from a thread.

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
        """Send a command to the process without waiting for the result. See `uploader.main`."""
        with contextlib.suppress(OSError):  # the process has died, and sends no events either
            self._connection.send(command)

    def upload(self, records: list[TrackedRun], store: TrackingStore, report: Report) -> None:
        """Upload runs in the process, and pass the events of `upload_runs` to `report`."""
        self.send(records=records, store=store, attempts=self._timeouts.attempts)
        for event in self.events(self._timeouts.total):
            report(event)
            if "done" in event:
                return
        report({"done": 1, "reason": "no answer"})

    def events(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Yield events until the process ends, is silent for too long, or `seconds` have passed."""
        end = time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while True:
                left = min(end - time.monotonic(), self._timeouts.longest_silence)
                event = self._events.get(timeout=max(0.0, left))
                if event is None:
                    return
                yield event

    def close(self) -> None:
        """Kill the uploader process. A request in progress reaches MLflow whole or not at all."""
        self._process.kill()
        self._process.wait()
        self._reader.join(5)  # it raises if the connection is closed while it reads
        self._connection.close()

"""Sends a run to MLflow or a sink while it trains, in a thread: one that hangs delays no other."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from isnet.errors import UserError
from isnet.tracking.failure_reason import failure_reason
from isnet.tracking.mlflow.run_upload import RunUpload
from isnet.tracking.sinks.sink_upload import SinkUpload
from isnet.tracking.tracked_run import TrackedRun
from isnet.tracking.upload_events import Report

_SECONDS_BETWEEN_UPLOADS = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
"""Seconds without attempts after a failure; doubled by each further one."""

Upload = RunUpload | SinkUpload


class LiveUpload(threading.Thread):
    """Thread that sends a run to MLflow or a sink while it trains, and reports each attempt.

    Reports are `{"sink": name}` with `"succeeded": 1` or `"failed": reason` after each attempt, and
    with `"done": 1` at the end.
    """

    def __init__(
        self, name: str, start: Callable[[TrackedRun], Upload], record: TrackedRun, report: Report
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._record, self._start_upload, self._send_event = record, start, report
        self._pause, self._paused_until = _FIRST_PAUSE, 0.0
        self._ended = threading.Event()
        self._upload: Upload | None = None

    def end(self, record: TrackedRun) -> None:
        """Send all that is missing of the run, which has ended as `record` says."""
        self._record = record
        self._ended.set()

    def run(self) -> None:
        """Send what was added, every few seconds until `end`, and then the rest in one attempt."""
        while not self._ended.is_set():
            if time.monotonic() >= self._paused_until:
                self._try(lambda upload: upload.send_new())
            self._ended.wait(_SECONDS_BETWEEN_UPLOADS)
        self._try(lambda upload: upload.finish(self._record))
        self._report(done=1)

    def _report(self, **event: Any) -> None:
        self._send_event({"sink": self.name} | event)

    def _try(self, send: Callable[[Upload], object]) -> None:
        try:
            if self._upload is None:
                self._upload = self._start_upload(self._record)
            send(self._upload)
        except Exception as error:
            if self._upload:
                with contextlib.suppress(Exception):
                    self._upload.close()
            self._upload = None  # the next one asks what has arrived
            self._paused_until = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._report(failed=failure_reason(error), by_hand=isinstance(error, UserError))
        else:
            self._pause = _FIRST_PAUSE
            self._report(succeeded=1)

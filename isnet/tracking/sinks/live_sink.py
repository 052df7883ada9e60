"""Sends a run to a sink while it trains, in a thread: a sink that hangs delays no other."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from isnet.tracking.backoff import Backoff
from isnet.tracking.mlflow.run_upload import Report
from isnet.tracking.mlflow.tracking_client import failure_reason
from isnet.tracking.run_record import RunRecord
from isnet.tracking.sinks.sink_upload import CurveSinks, SinkName, SinkUpload

_SECONDS_BETWEEN_UPLOADS = 5.0


class LiveSink(threading.Thread):
    """Thread that reports `{"sink": name}` with `"succeeded": 1` or `"failed": reason` after each
    attempt, and with `"done": 1` at its end.
    """

    def __init__(
        self, name: SinkName, record: RunRecord, sinks: CurveSinks, report: Report
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._sink: SinkName = name
        self._record, self._sinks = record, sinks
        self._send_event = report
        self._backoff = Backoff()
        self._ended = threading.Event()
        self._upload: SinkUpload | None = None

    def end(self, record: RunRecord) -> None:
        """Send all that is missing of the run, which has ended as `record` says."""
        self._record = record
        self._ended.set()

    def run(self) -> None:
        """Send what was added, every few seconds until `end`, and then the rest."""
        while not self._ended.is_set():
            if not self._backoff.is_paused:
                self._try(SinkUpload.send_new)
            self._ended.wait(_SECONDS_BETWEEN_UPLOADS)
        self._try(lambda upload: upload.finish(self._record))
        self._report({"done": 1})

    def _report(self, event: dict[str, Any]) -> None:
        self._send_event({"sink": self._sink} | event)

    def _try(self, send: Callable[[SinkUpload], None]) -> None:
        try:
            if self._upload is None:
                self._upload = SinkUpload(self._sink, self._record, self._sinks)
            send(self._upload)
        except Exception as error:
            if self._upload:
                with contextlib.suppress(Exception):
                    self._upload.close()
            self._upload = None
            self._backoff.start_pause()
            self._report({"failed": failure_reason(error)})
        else:
            self._backoff.reset()
            self._report({"succeeded": 1})

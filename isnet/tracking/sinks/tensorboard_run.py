"""TensorBoard's event file of a training, written anew by each process that opens it."""

import contextlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from isnet.tracking.curve_thinning import Row, rows_of, step_of
from isnet.tracking.tracked_run import State, TrackedRun


def tensorboard_folder(home: Path, record: TrackedRun) -> Path:
    """Return the folder of a training's event file, below `tensorboard --logdir`."""
    return home / "work" / "tensorboard" / record.name / record.key


class TensorboardRun:
    """Event file of a training for TensorBoard; a new one replaces the former file.

    No step is then there twice, and records that a resume has removed from the journal are gone. A
    TensorBoard that shows the former file drops its points at the new file's start event.
    """

    def __init__(self, record: TrackedRun, home: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = Event
        self.last: dict[str, int] = {}
        """The last step in the file, of each kind of record."""
        folder = tensorboard_folder(home, record)
        folder.mkdir(parents=True, exist_ok=True)
        former = sorted(folder.glob("events.out.tfevents.*"))
        # Readers take the files in the order of their names; clocks of hosts differ.
        numbers = [int(file.name.split(".")[3]) for file in former]
        number = max([time.time_ns(), *(number + 1 for number in numbers)])
        self._file = (folder / f"events.out.tfevents.{number}.isnet").open("ab")
        self._writer = RecordWriter(self._file)
        now = time.time()
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=now, step=0, session_log=start))
        self._file.flush()
        for file in former:
            _retire(file)

    def _write(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Append records, one event each."""
        for record in records:
            self._add_rows(rows_of(record))
            self.last[record["kind"]] = step_of(record)
        self._file.flush()

    def _add_rows(self, rows: list[Row]) -> None:
        if rows:
            _, _, milliseconds, step = rows[0]
            event = self._event(wall_time=milliseconds / 1000, step=step)
            for key, value, _, _ in rows:
                event.summary.value.add(tag=key, simple_value=value)
            self._write(event)

    def set_final(self, values: Mapping[str, float], step: int) -> None:
        """Append the values that a run has once."""
        now = int(time.time() * 1000)
        self._add_rows([(key, value, now, step) for key, value in values.items()])

    def close(self, state: State) -> None:
        """Close the file."""
        self._file.close()


def _retire(file: Path) -> None:
    """Empty an event file, or remove it if it was emptied before.

    A TensorBoard that reads a file would not go on to the next one if its own were removed.
    """
    with contextlib.suppress(FileNotFoundError):
        if file.stat().st_size:
            os.truncate(file, 0)
        else:
            file.unlink()

"""Brings the curves of a run into a sink: while it trains, and completely once it has ended."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from isnet.io.atomic_files import digest_of, read_json, sha256_of, write_json
from isnet.tracking.curve_thinning import thin_records
from isnet.tracking.failure_reason import failure_reason
from isnet.tracking.final_metrics import final_metrics
from isnet.tracking.journal import JournalReader
from isnet.tracking.sinks.tensorboard_run import TensorboardRun, tensorboard_folder
from isnet.tracking.sinks.wandb_run import WandbRun
from isnet.tracking.tracked_run import TrackedRun
from isnet.tracking.upload_events import Report

SinkName = Literal["TensorBoard", "Weights & Biases"]


@dataclass(frozen=True)
class CurveSinks:
    """The sinks that get the curves of all runs."""

    names: tuple[SinkName, ...]
    project: str  # Weights & Biases' project
    home: Path  # the checkout in whose `work/` the event files and the offline runs are

    def is_complete(self, name: SinkName, record: TrackedRun) -> bool:
        """Return whether a sink got an ended run as it is now, from the note about it."""
        return read_json(self.note(name, record)).get("content") == self.digest(record)

    def note(self, name: SinkName, record: TrackedRun) -> Path:
        """Return the note about what a sink got; TensorBoard's is lost with its event files."""
        if name == "TensorBoard":
            return tensorboard_folder(self.home, record) / "isnet.json"
        return record.work / "wandb.json"

    def digest(self, record: TrackedRun) -> str:
        """Return a hash of everything that a sink gets of a run."""
        files = [path for path in (record.journal, record.system) if path.is_file()]
        final = final_metrics(record) if record.summary else {}
        return digest_of([self.project, record.state, final, *map(sha256_of, files)])


class SinkUpload:
    """Sends the records of one run to one sink while its journal grows.

    After a failure, close it and create another one.
    """

    def __init__(self, name: SinkName, record: TrackedRun, sinks: CurveSinks) -> None:
        self._name, self._record, self._sinks = name, record, sinks
        self._readers = (JournalReader(record.journal), JournalReader(record.system))
        self._run = (
            TensorboardRun(record, sinks.home)
            if name == "TensorBoard"
            else WandbRun(record, sinks.project, sinks.home)
        )

    def send_new(self) -> None:
        """Send the records that were added to the journal and the system samples."""
        for reader in self._readers:
            records = reader.new_records()
            self._run.add(thin_records(records, self._record.iterations, self._run.last))

    def finish(self, record: TrackedRun) -> None:
        """Send all that is missing of the run, which has ended as `record` says, and note it."""
        content = self._sinks.digest(record)
        self.send_new()
        if record.summary:
            self._run.set_final(final_metrics(record), int(record.summary["iterations"]))
        self._run.close(record.state)
        write_json(self._sinks.note(self._name, record), {"content": content})

    def close(self) -> None:
        """End an upload that has failed."""
        self._run.close("interrupted")


def complete_sinks(
    missing: list[tuple[SinkName, TrackedRun]], sinks: CurveSinks, report: Report
) -> None:
    """Send ended runs to sinks, and report the results. Raises nothing.

    Reports are `{"sink": name, "complete": run}`; `{"sink": name, "failed": reason}` once for a
    sink, which then gets no further run; and `{"done": 1}` at the end.
    """
    failed: set[SinkName] = set()
    for name, record in missing:
        if name in failed:
            continue
        try:
            SinkUpload(name, record, sinks).finish(record)
            report({"sink": name, "complete": record.name})
        except Exception as error:
            failed.add(name)
            report({"sink": name, "failed": failure_reason(error)})
    report({"done": 1})

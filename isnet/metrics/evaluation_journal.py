"""Journal of an evaluation: one line per counted image, so that a killed evaluation resumes."""

import time
from pathlib import Path

from isnet.io.json_lines import JsonLinesFile, read_json_lines
from isnet.metrics.evaluation_sums import EvaluationSums, ImageCounts

_SECONDS_BETWEEN_SYNCS = 5.0


class EvaluationJournal(JsonLinesFile):
    """The journal of one process, `counts-<rank>.jsonl`, which only this process writes.

    A line that was cut short by a kill or a power failure is removed when the file is opened again,
    and its image is counted again.

    Args:
        folder: work folder of the evaluation.
        rank: rank of this process.
        fingerprint: digest of all that decides the counts; a file with another one is restarted.
    """

    def __init__(self, folder: Path, rank: int, fingerprint: str) -> None:
        super().__init__(folder / f"counts-{rank}.jsonl", fingerprint, checksum=True)
        self._synced = time.monotonic()

    def __exit__(self, *error: object) -> None:
        """Sync the file to disk and close it."""
        self.sync()
        super().__exit__(*error)

    def add(self, image: ImageCounts) -> None:
        """Write an image. It survives a kill; a power failure loses the last five seconds."""
        self.append(image.record())
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            self.sync()
            self._synced = time.monotonic()


def read_journals(folder: Path, classes: int, fingerprint: str) -> EvaluationSums:
    """Return the sums over the journals of all processes.

    Files with another fingerprint, and all after the first damaged line of a file, are ignored.
    """
    sums = EvaluationSums(classes)
    for path in sorted(folder.glob("counts-*.jsonl")):
        for record in read_json_lines(path, fingerprint, checksum=True):
            sums.add(ImageCounts.from_record(record, classes))
    return sums

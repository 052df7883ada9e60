"""Journal of an evaluation: a line per counted image, from which a killed evaluation resumes."""

import time
from pathlib import Path

from isnet.io.json_lines import JsonLinesFile, read_json_lines
from isnet.metrics.evaluation_sums import EvaluationSums, ImageCounts

_SECONDS_BETWEEN_SYNCS = 5.0


class EvaluationJournal(JsonLinesFile):
    """Journal of the images that one process of an evaluation has counted, `counts-<rank>.jsonl`.

    Only this process writes the file, in `folder`. A line that a kill or a power failure has cut
    short is removed when the file is opened again. `fingerprint` is the digest of all that decides
    the counts; a file with another one is restarted.
    """

    def __init__(self, folder: Path, rank: int, fingerprint: str) -> None:
        super().__init__(folder / f"counts-{rank}.jsonl", fingerprint, checksum=True)
        self._synced = time.monotonic()

    def __exit__(self, *error: object) -> None:
        """Sync the file to disk and close it."""
        self.sync()
        super().__exit__(*error)

    def add(self, image: ImageCounts) -> None:
        """Append the counts of an image.

        The counts survive a kill. A power failure loses at most the last five seconds.
        """
        self.append(image.record())
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            self.sync()
            self._synced = time.monotonic()


def read_journals(folder: Path, classes: int, fingerprint: str) -> EvaluationSums:
    """Sum the counts of all images in the journals of all processes.

    Files with another fingerprint are ignored, as are all lines from the first damaged one of a
    file.
    """
    files = sorted(folder.glob("counts-*.jsonl"))
    records = (row for file in files for row in read_json_lines(file, fingerprint, checksum=True))
    return EvaluationSums(classes, (ImageCounts.from_record(row, classes) for row in records))

"""Journal of an evaluation: one line per counted image, so that a killed evaluation resumes."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from isnet.metrics.evaluation_sums import EvaluationSums, ImageCounts

__all__ = ["EvaluationJournal", "read_journals"]

_SECONDS_BETWEEN_SYNCS = 5.0


class EvaluationJournal:
    """The journal of one process, `counts-<rank>.jsonl`, which only this process writes.

    A line is the CRC-32 of a JSON object and the object. A line that was cut short by a kill or a
    power failure is removed when the file is opened again, and its image is counted again.

    Args:
        folder: work folder of the evaluation.
        rank: rank of this process.
        fingerprint: digest of all that decides the counts; a file with another one is restarted.
    """

    def __init__(self, folder: Path, rank: int, fingerprint: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = _open(folder / f"counts-{rank}.jsonl", fingerprint)
        self._synced = time.monotonic()

    def __enter__(self) -> EvaluationJournal:
        """Return the journal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Sync the file to disk and close it."""
        os.fsync(self._file.fileno())
        self._file.close()

    def append(self, image: ImageCounts) -> None:
        """Write an image. It survives a kill; a power failure loses the last five seconds."""
        self._file.write(_line(image.record()))
        self._file.flush()
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()


def read_journals(folder: Path, classes: int, fingerprint: str) -> EvaluationSums:
    """Return the sums over the journals of all processes; ignores files with another fingerprint
    and everything from the first damaged line of a file on.
    """
    sums = EvaluationSums(classes)
    for path in sorted(folder.glob("counts-*.jsonl")):
        with path.open("rb") as file:
            if _parse(file.readline()) == _head(fingerprint):
                for record in _records(file):
                    sums.add(ImageCounts.from_record(record, classes))
    return sums


def _open(path: Path, fingerprint: str) -> IO[bytes]:
    """Open a file for writing after its last valid line."""
    path.touch()
    file = path.open("r+b")
    end = 0
    if _parse(file.readline()) == _head(fingerprint):
        end = file.tell()
        for _ in _records(file):
            end = file.tell()
    file.seek(end)
    file.truncate()
    if not end:
        file.write(_line(_head(fingerprint)))
        file.flush()
    return file


def _records(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the records before the first damaged line."""
    while record := _parse(file.readline()):
        yield record


def _head(fingerprint: str) -> dict[str, Any]:
    return {"fingerprint": fingerprint}


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parse(line: bytes) -> dict[str, Any] | None:
    crc, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or crc != b"%08x" % zlib.crc32(text[:-1]):
        return None
    record: dict[str, Any] = json.loads(text)
    return record

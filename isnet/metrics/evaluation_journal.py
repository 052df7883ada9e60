"""Tallies on disk: a line an image, appended as soon as it is counted, so that a killed evaluation
goes on where it was.
"""

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

_PATTERN = "counts-*.jsonl"
_SECONDS_BETWEEN_SYNCS = 5.0


class EvaluationJournal:
    """The file of one process, `counts-<share>.jsonl`; no other process writes it at the same time.

    A line is the CRC-32 of a JSON object and the object. A line that a kill or a power failure has
    torn is cut off when the file is opened again, and its image is counted once more.

    Args:
        folder: private folder of the evaluation.
        share: number of this process.
        fingerprint: digest of all that decides the counts; a file with another one is restarted.
    """

    def __init__(self, folder: Path, share: int, fingerprint: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = _opened(folder / f"counts-{share}.jsonl", fingerprint)
        self._synced = time.monotonic()

    def __enter__(self) -> EvaluationJournal:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Make it durable and close it."""
        os.fsync(self._file.fileno())
        self._file.close()

    def append(self, image: ImageCounts) -> None:
        """Write one image. A killed process loses nothing of it, a power failure five seconds."""
        self._file.write(_line(image.record()))
        self._file.flush()
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()


def read_journals(folder: Path, classes: int, fingerprint: str) -> EvaluationSums:
    """Return what all processes have counted so far; files that were made with something else, and
    lines that are not whole, count as not there.
    """
    tally = EvaluationSums(classes)
    for path in sorted(folder.glob(_PATTERN)):
        with path.open("rb") as file:
            if _parsed(file.readline()) != _head(fingerprint):
                continue
            for record in _records(file):
                tally.add(ImageCounts.from_record(record, classes))
    return tally


def _opened(path: Path, fingerprint: str) -> IO[bytes]:
    """Open a file for writing behind its last whole line."""
    path.touch()
    file = path.open("r+b")
    kept = 0
    if _parsed(file.readline()) == _head(fingerprint):
        kept = file.tell()
        for _ in _records(file):
            kept = file.tell()
    file.seek(kept)
    file.truncate()
    if not kept:
        file.write(_line(_head(fingerprint)))
        file.flush()
    return file


def _records(file: IO[bytes]) -> Iterator[dict[str, Any]]:
    """Yield records up to the first line that is not whole."""
    while record := _parsed(file.readline()):
        yield record


def _head(fingerprint: str) -> dict[str, Any]:
    return {"fingerprint": fingerprint}


def _line(record: dict[str, Any]) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> dict[str, Any] | None:
    crc, _, text = line.partition(b" ")
    if not text.endswith(b"\n") or crc != b"%08x" % zlib.crc32(text[:-1]):
        return None
    record: dict[str, Any] = json.loads(text)
    return record

"""What of a conversion is done: a line for every label file, so that a killed one goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

__all__ = ["ConversionRecord", "Converted", "Job", "Stamp", "stamp_of"]

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds."""


@dataclass(frozen=True)
class Job:
    """An image and its label, relative to the data set's folder, and the file that is made of the
    label, relative to the folder of labels.
    """

    image: str
    label: str
    target: str


@dataclass(frozen=True)
class Converted:
    """What is known once a job is done; `counts` are pixels by train id, without zeros."""

    image_stamp: Stamp
    label_stamp: Stamp
    target_bytes: int
    image_sha256: str
    label_sha256: str
    width: int
    height: int
    has_alpha: bool
    counts: dict[int, int]


class ConversionRecord:
    """An append-only file, written by one process. Its first line says for what it holds.

    Args:
        path: the file.
        made_with: hash of all that decides what a label becomes; a record made with another is
            begun anew.
    """

    def __init__(self, path: Path, made_with: str) -> None:
        self._head = {"made_with": made_with}
        self._file = self._open(path)
        self._lines = [entry for entry in map(_parsed, self._file) if entry]

    def _open(self, path: Path) -> IO[bytes]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        file = path.open("r+b")
        content = file.read()
        whole = content.rfind(b"\n") + 1  # behind it: a line that was being written
        file.truncate(whole)
        file.seek(0)
        if _parsed(file.readline()) != self._head:
            file.seek(0)
            file.truncate()
            self._append(file, self._head)
        return file

    def __enter__(self) -> ConversionRecord:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()

    def add(self, job: Job, converted: Converted) -> None:
        """Note what is done; its target is in place already."""
        self._append(self._file, {"job": asdict(job), "converted": asdict(converted)})

    @staticmethod
    def _append(file: IO[bytes], entry: dict[str, Any]) -> None:
        file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        file.flush()

    def valid(self, jobs: Iterable[Job], root: Path, labels: Path) -> dict[Job, Converted]:
        """Return the jobs whose files are what they were when they were done.

        Args:
            jobs: those in question.
            root: folder of images and labels.
            labels: folder of the converted labels.
        """
        wanted = set(jobs)
        noted = {}
        for entry in self._lines:
            job = Job(**entry["job"])
            if job in wanted:
                noted[job] = _converted(entry["converted"])
        return {job: done for job, done in noted.items() if _holds(job, done, root, labels)}


def stamp_of(path: Path) -> Stamp:
    """Return what changes when a file does, without reading it."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def _holds(job: Job, done: Converted, root: Path, labels: Path) -> bool:
    try:
        return (
            (labels / job.target).stat().st_size == done.target_bytes
            and stamp_of(root / job.image) == done.image_stamp
            and stamp_of(root / job.label) == done.label_stamp
        )
    except OSError:
        return False


def _converted(entry: dict[str, Any]) -> Converted:
    """JSON knows no tuples, and no numbers as keys."""
    stamps = {key: tuple(entry[key]) for key in ("image_stamp", "label_stamp")}
    counts = {int(train_id): pixels for train_id, pixels in entry["counts"].items()}
    return Converted(**(entry | stamps | {"counts": counts}))


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:  # a disk that lost its power
        return None
    return entry if isinstance(entry, dict) else None

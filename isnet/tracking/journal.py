"""Training journal: append-only JSON lines, the source of curves, reports and MLflow metrics.

A journal is read while another process writes it. Readers skip incomplete lines, and treat a
missing journal as empty.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from isnet.io.atomic_files import write_bytes
from isnet.io.json_lines import decode_line, encode_line
from isnet.records.csv_rows import csv_text

_TAIL_BYTES = 1 << 14  # length of the end of a journal that contains about fifty records


class Journal:
    """A training journal, which is a file of JSON lines with one record each.

    A record is `{"kind": "train" | "validation" | ..., "iteration": n, "time": Unix seconds, ...}`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: dict[str, Any]) -> None:
        """Append one record to the file. A killed run loses at most an incomplete last line."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(encode_line(record))

    def rewind(self, iteration: int) -> None:
        """Remove the records after `iteration`, because a resumed run computes them again."""
        kept = [record for record in journal_records(self.path) if record["iteration"] <= iteration]
        write_bytes(self.path, b"".join(map(encode_line, kept)))

    def as_csv(self, kind: str) -> str:
        """Return the records of one kind as CSV text, one row per iteration."""
        rows = [
            {k: v for k, v in record.items() if k not in ("kind", "time")}
            for record in journal_records(self.path, kind)
        ]
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return csv_text(rows, columns or ["iteration"])


class JournalReader:
    """Reads a journal incrementally and returns each record once.

    When a training resumes, its journal is replaced by a shortened copy, which is read from its
    beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = (0, 0)
        self._offset = 0

    def new_records(self) -> list[dict[str, Any]]:
        """Return the records of those complete lines that were added since the last call."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                if identity != self._file or status.st_size < self._offset:
                    self._file, self._offset = identity, 0
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        complete = content[: content.rfind(b"\n") + 1]
        self._offset += len(complete)
        return _parse(complete.splitlines())


def journal_records(path: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """Return the records of a journal, or only those of one kind."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    if kind is None:
        return _parse(lines)
    found = _parse(line for line in lines if f'"{kind}"'.encode() in line)
    return [record for record in found if record["kind"] == kind]


def last_records(path: Path) -> list[dict[str, Any]]:
    """Return about the last fifty records of a journal, oldest first."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    return _parse(lines[1:] if size > _TAIL_BYTES else lines)  # the first line may be cut


def _parse(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    return [record for line in lines if (record := decode_line(line)) and "kind" in record]

"""Readers of a journal while another process writes it. Incomplete lines are skipped, and a missing
journal has no records.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from isnet.io.json_lines import decode_line

_TAIL_BYTES = 1 << 14
"""About fifty records."""


class JournalReader:
    """Reads a journal incrementally, each record once.

    Resuming a training replaces its journal by a shortened copy: the new file is read from its
    beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = (0, 0)
        self._offset = 0

    def new_records(self) -> list[dict[str, Any]]:
        """Return the records of the complete lines that were added since the last call."""
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
    """Return all records, or those of one kind."""
    return [record for record in _parse(_lines(path)) if kind in (None, record["kind"])]


def last_records(path: Path) -> list[dict[str, Any]]:
    """Return about the last fifty records, oldest first."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    return _parse(lines[1:] if size > _TAIL_BYTES else lines)  # the first line may be cut


def validations(path: Path) -> list[dict[str, Any]]:
    """Return all validation records, oldest first. Only these few lines are parsed."""
    return _parse(line for line in _lines(path) if b'"validation"' in line)


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines()
    except OSError:
        return []


def _parse(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    return [record for line in lines if (record := decode_line(line)) and "kind" in record]

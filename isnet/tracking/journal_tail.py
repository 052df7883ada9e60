"""Reads a journal while another process writes it, each record once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

from isnet.tracking.journal import parsed

__all__ = ["JournalTail"]


class JournalTail:
    """What was added to a journal since the last look.

    A training that goes on from its checkpoint rewinds its journal: that is another file under the
    same name, which is read from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.restart()

    def restart(self) -> None:
        """Read from the beginning next time."""
        self._file = (0, 0)
        self._offset = 0

    def new_records(self) -> list[dict[str, Any]]:
        """Return the whole lines that were added; none where there is no journal."""
        try:
            with self.path.open("rb") as file:
                return self._read(file)
        except FileNotFoundError:
            return []

    def _read(self, file: BinaryIO) -> list[dict[str, Any]]:
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino)
        if identity != self._file or status.st_size < self._offset:
            self._file, self._offset = identity, 0
        file.seek(self._offset)
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return parsed(whole.splitlines())

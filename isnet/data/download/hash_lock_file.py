"""Hashes that nobody publishes: recorded when a file is first fetched, and held from then on."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock

from isnet.data.download.checksums import DEFAULT_ALGORITHM, ExpectedFile
from isnet.data.download.url_text import shown
from isnet.io.atomic_files import write_json

__all__ = ["HashLockFile"]


class HashLockFile:
    """`downloads.lock.json` in the folder `root`: trust on first use.

    A file is known by its path relative to `root`, whichever mirror it comes from.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / "downloads.lock.json"

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def identity(self, path: Path) -> ExpectedFile | None:
        """Return what the file at `path` was when it was first fetched; None: it never was."""
        entry = self._entries().get(self._name(path))
        if entry is None:
            return None
        return ExpectedFile(size=entry["bytes"], sha256=entry[DEFAULT_ALGORITHM])

    def record(self, path: Path, url: str, size: int, digest: str) -> None:
        """Hold a file to its size and SHA-256 from now on."""
        entry = {
            "bytes": size,
            DEFAULT_ALGORITHM: digest,
            "from": shown(url),
            "first_used": date.today().isoformat(),
        }
        # The lock file stays: many may wait for it, each for a moment.
        with FileLock(self._root / ".downloads.lock"):
            write_json(self.path, self._entries() | {self._name(path): entry})

    def hint(self, path: Path) -> str:
        """How to accept another content."""
        entry = self._entries()[self._name(path)]
        return (
            f"It was fetched first on {entry['first_used']}; if you know that its publisher "
            f'changed it, delete "{self._name(path)}" from {self.path}'
        )

    def _entries(self) -> dict[str, Any]:
        if not self.path.is_file():
            return {}
        entries: dict[str, Any] = json.loads(self.path.read_text())
        return entries

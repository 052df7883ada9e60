"""Lock file of hashes: SHA-256 of downloads that have no published hash (trust on first use)."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock

from isnet.data.download.checksums import ExpectedFile
from isnet.data.download.credentials import redact_url
from isnet.io.atomic_files import write_json


class HashLockFile:
    """The file `downloads.lock.json` in the folder `root`.

    Its keys are paths relative to `root`, so that all mirrors of a file share one entry.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / "downloads.lock.json"

    def expected(self, path: Path) -> ExpectedFile | None:
        """Return the recorded size and hash of the file at `path`; None: there is no entry."""
        entry = self._entries().get(self._key(path))
        return entry and ExpectedFile(size=entry["bytes"], sha256=entry["sha256"])

    def record(self, path: Path, url: str, size: int, digest: str) -> None:
        """Record size (bytes) and SHA-256 of a first download."""
        entry = {
            "bytes": size,
            "sha256": digest,
            "from": redact_url(url),
            "first_used": date.today().isoformat(),
        }
        # This lock is not removed afterwards: others may wait for it, each for a moment.
        with FileLock(self._root / ".downloads.lock"):
            write_json(self.path, self._entries() | {self._key(path): entry})

    def hint(self, path: Path) -> str:
        """Return how to accept a changed file."""
        key = self._key(path)
        return (
            f"It was first downloaded on {self._entries()[key]['first_used']}; if you know that "
            f'its publisher changed it, delete "{key}" from {self.path}'
        )

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _entries(self) -> dict[str, Any]:
        if not self.path.is_file():
            return {}
        entries: dict[str, Any] = json.loads(self.path.read_text())
        return entries

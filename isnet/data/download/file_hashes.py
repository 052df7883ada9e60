"""Checks downloads against their expected size and hashes, published or recorded the first time."""

import functools
import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from filelock import FileLock

from isnet.data.download.credentials import redact_url
from isnet.io.atomic_files import write_json

_FORMS = {"sha256": r"[0-9a-f]{8,64}", "sha1": r"[0-9a-f]{40}", "md5": r"[0-9a-f]{32}"}
_NAMES = {"sha256": "SHA-256", "sha1": "SHA-1", "md5": "MD5"}


@dataclass(frozen=True)
class ExpectedFile:
    """The expected size in bytes and hashes of a file. None means that a value is unknown.

    Hashes are lower-case hex. A SHA-256 may be shortened to its first digits, 8 at least.

    Raises:
        ValueError: a hash is malformed.
    """

    size: int | None = None
    """In bytes."""
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None

    def __post_init__(self) -> None:
        for algorithm, digest in self.digests.items():
            if not re.fullmatch(_FORMS[algorithm], digest):
                raise ValueError(f"{digest!r} is not a valid {_NAMES[algorithm]}")

    @property
    def digests(self) -> dict[str, str]:
        """Known hashes by algorithm."""
        return {name: digest for name in _FORMS if (digest := getattr(self, name))}

    def mismatch(self, path: Path) -> str | None:
        """Describe how the file at `path` differs from the expected one; None if it does not."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"it has {size:,} bytes, not {self.size:,}"
        for algorithm, digest in self.digests.items():
            with path.open("rb") as file:
                new_hash = functools.partial(hashlib.new, algorithm, usedforsecurity=False)
                found = hashlib.file_digest(file, new_hash).hexdigest()
            if not found.startswith(digest):
                return f"its {_NAMES[algorithm]} is {found[: len(digest)]}, not {digest}"
        return None


class HashLockFile:
    """Trust on first use: a JSON file with the SHA-256 of downloads without a published hash.

    The file is `downloads.lock.json` in the folder `root`. Its keys are the paths of the downloads
    relative to `root`, so that all mirrors of a download share one entry.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.path = root / "downloads.lock.json"

    def expected(self, path: Path) -> ExpectedFile | None:
        """Return the recorded size and hash of the file at `path`, or None if none are recorded."""
        entry = self._entries().get(self._key(path))
        return entry and ExpectedFile(size=entry["bytes"], sha256=entry["sha256"])

    def record(self, path: Path, url: str, size: int, digest: str) -> None:
        """Record the size (bytes) and SHA-256 `digest` of the first download of a file."""
        today = date.today().isoformat()
        entry = {"bytes": size, "sha256": digest, "from": redact_url(url), "first_used": today}
        # This lock is not removed afterwards: others may wait for it, each for a moment.
        with FileLock(self._root / ".downloads.lock"):
            write_json(self.path, self._entries() | {self._key(path): entry})

    def hint(self, path: Path) -> str:
        """Return a hint for the user on how to accept a changed file."""
        key = self._key(path)
        when = f"It was first downloaded on {self._entries()[key]['first_used']}"
        how = f'delete "{key}" from {self.path}'
        return f"{when}; if you know that its publisher changed it, {how}"

    def _key(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _entries(self) -> dict[str, Any]:
        return json.loads(self.path.read_text()) if self.path.is_file() else {}

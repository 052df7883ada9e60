"""Expected size and hashes of a file, and hashes computed while it is written."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEFAULT_ALGORITHM", "UNKNOWN", "ExpectedFile", "RunningHashes"]

DEFAULT_ALGORITHM = "sha256"
"""Algorithm for files without a published hash."""
_FORMS = {"sha256": r"[0-9a-f]{8,64}", "sha1": r"[0-9a-f]{40}", "md5": r"[0-9a-f]{32}"}
_NAMES = {"sha256": "SHA-256", "sha1": "SHA-1", "md5": "MD5"}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class ExpectedFile:
    """Known size and hashes of a file; None: unknown.

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

    def mismatch(self, size: int, found: dict[str, str]) -> str | None:
        """Describe how a file of `size` bytes and hashes `found` differs; None: it does not."""
        if self.size is not None and size != self.size:
            return f"it has {size:,} bytes, not {self.size:,}"
        for algorithm, digest in self.digests.items():
            if not found[algorithm].startswith(digest):
                return f"its {_NAMES[algorithm]} is {found[algorithm][: len(digest)]}, not {digest}"
        return None


UNKNOWN = ExpectedFile()
"""No published size or hash."""


class RunningHashes:
    """Hashes of a file that is written block by block, without a second pass over it."""

    def __init__(self, expected: ExpectedFile) -> None:
        self._algorithms = tuple(expected.digests) or (DEFAULT_ALGORITHM,)
        self.restart()

    def restart(self) -> None:
        """Forget all data."""
        self._running = {
            name: hashlib.new(name, usedforsecurity=False) for name in self._algorithms
        }

    def add(self, data: bytes | memoryview) -> None:
        """Add the next bytes."""
        for running in self._running.values():
            running.update(data)

    def add_file(self, path: Path) -> None:
        """Add the content of a file."""
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                self.add(block)

    @property
    def digests(self) -> dict[str, str]:
        """Hex digests of the data so far, by algorithm."""
        return {name: running.hexdigest() for name, running in self._running.items()}

"""What a file must be: its size and its hashes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DEFAULT_ALGORITHM", "UNKNOWN", "ExpectedFile", "Hashes"]

DEFAULT_ALGORITHM = "sha256"
"""What is counted where nobody publishes a hash."""
_FORMS = {"sha256": r"[0-9a-f]{8,64}", "sha1": r"[0-9a-f]{40}", "md5": r"[0-9a-f]{32}"}
_NAMES = {"sha256": "SHA-256", "sha1": "SHA-1", "md5": "MD5"}
_BLOCK = 1 << 20


@dataclass(frozen=True)
class ExpectedFile:
    """What is known of a file beforehand; everything that is given must hold.

    Hashes are lower-case hex. Of a SHA-256 the first digits will do, 8 at least.

    Raises:
        ValueError: a hash has another form.
    """

    size: int | None = None
    """In bytes."""
    sha256: str | None = None
    sha1: str | None = None
    md5: str | None = None

    def __post_init__(self) -> None:
        for algorithm, digest in self.digests.items():
            if not re.fullmatch(_FORMS[algorithm], digest):
                raise ValueError(f"{digest!r} is no {_NAMES[algorithm]}")

    @property
    def digests(self) -> dict[str, str]:
        """The hashes that are known, by algorithm."""
        return {name: digest for name in _FORMS if (digest := getattr(self, name))}

    def difference(self, size: int, found: dict[str, str]) -> str | None:
        """Say in a few words how a file of `size` bytes and hashes `found` differs, if it does."""
        if self.size is not None and size != self.size:
            return f"it has {size:,} bytes, not {self.size:,}"
        for algorithm, digest in self.digests.items():
            if not found[algorithm].startswith(digest):
                return f"its {_NAMES[algorithm]} is {found[algorithm][: len(digest)]}, not {digest}"
        return None


UNKNOWN = ExpectedFile()
"""Nothing is published."""


class Hashes:
    """Hashes of a file, counted while it is written: no second pass over it."""

    def __init__(self, identity: ExpectedFile) -> None:
        self._algorithms = tuple(identity.digests) or (DEFAULT_ALGORITHM,)
        self.restart()

    def restart(self) -> None:
        """Begin anew, for a file that is written from its start."""
        self._running = {
            name: hashlib.new(name, usedforsecurity=False) for name in self._algorithms
        }

    def add(self, data: bytes | memoryview) -> None:
        """Take in the next bytes."""
        for running in self._running.values():
            running.update(data)

    def add_file(self, path: Path) -> None:
        """Take in the content of a file."""
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                self.add(block)

    @property
    def digests(self) -> dict[str, str]:
        """Hex digests of what was taken in, by algorithm."""
        return {name: running.hexdigest() for name, running in self._running.items()}

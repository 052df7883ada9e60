"""Expected size and hashes of a file."""

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_FORMS = {"sha256": r"[0-9a-f]{8,64}", "sha1": r"[0-9a-f]{40}", "md5": r"[0-9a-f]{32}"}
_NAMES = {"sha256": "SHA-256", "sha1": "SHA-1", "md5": "MD5"}


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

    def mismatch(self, path: Path) -> str | None:
        """Describe how the file at `path` differs from the expected one; None: it does not."""
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


UNKNOWN = ExpectedFile()
"""No published size or hash."""

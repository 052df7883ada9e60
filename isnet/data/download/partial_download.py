"""A file that is on its way: `NAME.part`, and `NAME.part.json`, which says whose bytes they are."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from isnet.data.download.checksums import ExpectedFile, Hashes
from isnet.io.atomic_files import write_json
from isnet.io.disk_space import explain_write_errors

__all__ = ["Origin", "Part"]


@dataclass(frozen=True)
class Origin:
    """The content that a server offered, as it named it."""

    url: str
    """As people may see it: no credentials lie on the disk."""
    etag: str | None
    last_modified: str | None
    length: int | None
    """In bytes, of the whole."""

    @property
    def validator(self) -> str | None:
        """What If-Range may hold; a weak ETag may not (RFC 9110, 13.1.5)."""
        if self.etag:
            return None if self.etag.startswith("W/") else self.etag
        return self.last_modified

    def same_content(self, other: Origin) -> bool:
        """Whether nothing that both tell speaks against it."""
        if self.etag and other.etag:  # mirrors of one file agree on it, but not on its date
            return self.etag == other.etag and _agree(self.length, other.length)
        return _agree(self.last_modified, other.last_modified) and _agree(self.length, other.length)


class Part:
    """What has arrived of the file `path`, with its hashes; it outlives the process."""

    def __init__(self, path: Path, identity: ExpectedFile) -> None:
        self._target = path
        self._has_known_hash = bool(identity.digests)
        self.path = path.with_name(f"{path.name}.part")
        self._side = path.with_name(f"{path.name}.part.json")
        self.hashes = Hashes(identity)
        self.size = 0
        self.origin: Origin | None = None
        self.is_joined = False
        """Whether its bytes come from several answers."""
        with explain_write_errors(self.path):
            self._adopt()

    def _adopt(self) -> None:
        """Take over what an earlier process left, if that says what it is."""
        try:
            self.origin = Origin(**json.loads(self._side.read_text()))
        except (OSError, ValueError, TypeError):
            return
        if self.path.is_file():
            self.size = self.path.stat().st_size
            self.is_joined = self.size > 0
            self.hashes.add_file(self.path)

    @property
    def can_continue(self) -> bool:
        """Whether a change of the file between two attempts would be noticed."""
        validators = self.origin and (self.origin.etag or self.origin.last_modified)
        return self.size > 0 and bool(validators or self._has_known_hash)

    def restart(self, origin: Origin) -> None:
        """Begin anew, with content that the server offers from its start."""
        with explain_write_errors(self.path):
            self.path.write_bytes(b"")  # before its side file, which would vouch for it
            write_json(self._side, asdict(origin))
        self.origin, self.size, self.is_joined = origin, 0, False
        self.hashes.restart()

    def append(self, data: bytes) -> None:
        """Write the next bytes.

        Raises:
            UserError: the disk is full.
        """
        with explain_write_errors(self.path), self.path.open("ab", buffering=0) as file:
            left = memoryview(data)
            while left:  # a disk that is nearly full takes less than it is given
                written = file.write(left)
                self.hashes.add(left[:written])
                self.size += written
                left = left[written:]

    def discard(self) -> None:
        """Throw away what has arrived."""
        self.path.unlink(missing_ok=True)
        self._side.unlink(missing_ok=True)
        self.origin, self.size, self.is_joined = None, 0, False
        self.hashes.restart()

    def publish(self) -> None:
        """Give the file its name, now that it is whole and verified."""
        with explain_write_errors(self._target):
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            self.path.replace(self._target)
            self._side.unlink(missing_ok=True)


def _agree(mine: str | int | None, theirs: str | int | None) -> bool:
    return mine is None or theirs is None or mine == theirs

"""An unfinished download: the file `NAME.part`, and `NAME.part.json` with its version."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from isnet.data.download.checksums import ExpectedFile
from isnet.io.atomic_files import write_json
from isnet.io.disk_space import explain_write_errors


@dataclass(frozen=True)
class FileVersion:
    """HTTP validators and length of the file that a server offers."""

    url: str
    """Without credentials."""
    etag: str | None
    last_modified: str | None
    length: int | None
    """Bytes of the whole file."""

    @property
    def validator(self) -> str | None:
        """Value for the header If-Range, which excludes weak ETags (RFC 9110, 13.1.5)."""
        if self.etag:
            return None if self.etag.startswith("W/") else self.etag
        return self.last_modified

    def matches(self, other: FileVersion) -> bool:
        """Return whether all fields that both have are equal."""
        if self.etag and other.etag:  # mirrors share the ETag, but not the date
            return self.etag == other.etag and _agree(self.length, other.length)
        return _agree(self.last_modified, other.last_modified) and _agree(self.length, other.length)


class PartialDownload:
    """The received part of the file `path`, which the next process resumes if this one ends."""

    def __init__(self, path: Path, expected: ExpectedFile) -> None:
        self._target = path
        self._has_known_hash = bool(expected.digests)
        self.path = path.with_name(f"{path.name}.part")
        self._side = path.with_name(f"{path.name}.part.json")
        self._reset(None)
        with explain_write_errors(self.path):
            self._resume()

    def _reset(self, version: FileVersion | None) -> None:
        self.version, self.size = version, 0
        self.is_joined = False
        """Whether its bytes come from several responses."""

    def _resume(self) -> None:
        """Load the bytes of an earlier process, if their version is known."""
        try:
            self.version = FileVersion(**json.loads(self._side.read_text()))
        except (OSError, ValueError, TypeError):
            return
        if self.path.is_file():
            self.size = self.path.stat().st_size
            self.is_joined = self.size > 0

    @property
    def can_continue(self) -> bool:
        """Whether a change of the file on the server would be detected."""
        validators = self.version and (self.version.etag or self.version.last_modified)
        return self.size > 0 and bool(validators or self._has_known_hash)

    def restart(self, version: FileVersion) -> None:
        """Drop all bytes and start with a new version of the file."""
        with explain_write_errors(self.path):
            self.path.write_bytes(b"")  # first: the side file must not describe older bytes
            write_json(self._side, asdict(version))
        self._reset(version)

    def append(self, data: bytes) -> None:
        """Write the next bytes.

        Raises:
            UserError: the disk is full.
        """
        with explain_write_errors(self.path), self.path.open("ab", buffering=0) as file:
            left = memoryview(data)
            while left:  # a nearly full disk writes fewer bytes than requested
                written = file.write(left)
                self.size += written
                left = left[written:]

    def discard(self) -> None:
        """Remove all bytes."""
        self.path.unlink(missing_ok=True)
        self._side.unlink(missing_ok=True)
        self._reset(None)

    def publish(self) -> None:
        """Rename the complete file to its final name."""
        with explain_write_errors(self._target):
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            self.path.replace(self._target)
            self._side.unlink(missing_ok=True)


def _agree(mine: str | int | None, theirs: str | int | None) -> bool:
    return mine is None or theirs is None or mine == theirs

"""Stores an unfinished download in `NAME.part`, and resumes it by HTTP range requests.

The file `NAME.part.json` identifies the version of the file on the server.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from isnet.data.download.credentials import redact_url
from isnet.data.download.file_hashes import ExpectedFile
from isnet.data.download.retry import NO_ACCESS, PermanentError, TransientError, check_status
from isnet.io.atomic_files import write_json
from isnet.io.disk_space import explain_write_errors

_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True)
class FileVersion:
    """The version of a file on a server, by HTTP validators (ETag and date) and length."""

    url: str
    """Address of the file, without credentials."""
    etag: str | None
    last_modified: str | None
    length: int | None
    """Length of the whole file in bytes."""

    @property
    def validator(self) -> str | None:
        """Value for the header If-Range, which must not be a weak ETag (RFC 9110, 13.1.5)."""
        if self.etag:
            return None if self.etag.startswith("W/") else self.etag
        return self.last_modified

    def matches(self, other: FileVersion) -> bool:
        """Return whether two versions may be the same, by the fields that both have.

        The lengths are compared, and the ETags or else the dates.
        """
        pairs: list[tuple[object, object]] = [(self.length, other.length)]
        if self.etag and other.etag:  # mirrors share the ETag, but not the date
            pairs.append((self.etag, other.etag))
        else:
            pairs.append((self.last_modified, other.last_modified))
        return all(None in pair or pair[0] == pair[1] for pair in pairs)


class PartialDownload:
    """The bytes of the file `path` received so far, which a later process can resume."""

    def __init__(self, path: Path, expected: ExpectedFile) -> None:
        self._target = path
        self._has_known_hash = bool(expected.digests)
        self.path = path.with_name(f"{path.name}.part")
        self._side = path.with_name(f"{path.name}.part.json")
        self._reset(None)
        with contextlib.suppress(OSError, ValueError, TypeError):  # none, or of unknown version
            self._reset(FileVersion(**json.loads(self._side.read_text())))
            self.size = self.path.stat().st_size
            self.is_joined = self.size > 0

    def _reset(self, version: FileVersion | None) -> None:
        self.version, self.size = version, 0
        self.is_joined = False
        """Whether the bytes come from several responses."""

    def request_headers(self) -> dict[str, str]:
        """Return the HTTP headers that request the missing bytes.

        They request the whole file if a change of the file on the server could not be detected.
        """
        # With another encoding, lengths and ranges would not be those of the file.
        headers = {"Accept-Encoding": "identity"}
        version = self.version
        is_identified = version and (version.etag or version.last_modified)
        # Only if a change of the file on the server would be detected.
        if self.size and (is_identified or self._has_known_hash):
            headers["Range"] = f"bytes={self.size}-"
            if version and version.validator:
                headers["If-Range"] = version.validator
        return headers

    def prepare(self, response: requests.Response, url: str) -> bool:
        """Prepare for the body of a response; return False if the file is already complete.

        Raises:
            TransientError: the response does not continue the bytes so far. They are discarded.
            PermanentError: the server refuses the request.
        """
        try:
            check_status(response, (200, 206, 416))
        except PermanentError as error:
            hint = " (is a log-in needed?)" if response.status_code in NO_ACCESS else ""
            raise PermanentError(f"{error}{hint}") from None
        start, total = _range(response)
        old, headers = self.version, response.headers
        version = FileVersion(
            redact_url(url), headers.get("ETag"), headers.get("Last-Modified"), total
        )
        if response.status_code == 200:
            with explain_write_errors(self.path):
                self.path.write_bytes(b"")  # first: the side file must not describe older bytes
                write_json(self._side, asdict(version))
            self._reset(version)
        elif response.status_code == 416:  # range not satisfiable: no bytes after these
            if self.size and total == self.size and old and old.length in (None, total):
                return False
            self.discard()
            raise TransientError("the partial download is not that of the file; starts again")
        elif start != self.size or not (old and old.matches(version)):
            self.discard()
            raise TransientError("the server sent another range than requested; starts again")
        else:
            self.is_joined = True
        return True

    def append(self, data: bytes) -> None:
        """Append the next bytes to the file; raise UserError if the disk is full."""
        with explain_write_errors(self.path), self.path.open("ab", buffering=0) as file:
            left = memoryview(data)
            while left:  # a nearly full disk writes fewer bytes than requested
                written = file.write(left)
                self.size += written
                left = left[written:]

    def discard(self) -> None:
        """Delete all bytes received so far."""
        self.path.unlink(missing_ok=True)
        self._side.unlink(missing_ok=True)
        self._reset(None)

    def publish(self) -> None:
        """Rename the complete file from `NAME.part` to its final name."""
        with explain_write_errors(self._target):
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            self.path.replace(self._target)
            self._side.unlink(missing_ok=True)


def _range(response: requests.Response) -> tuple[int | None, int | None]:
    """Return the offset of a response's body and the length of the whole file, in bytes.

    Each is None if Content-Range or Content-Length does not state it.
    """
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    start, total = match.groups() if match else (None, "*")
    return None if start is None else int(start), None if total == "*" else int(total)

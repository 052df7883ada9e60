"""Torch files that are whole or absent, hashed while they are written, on disks that fill up."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch

from isnet.errors import UserError
from isnet.io.atomic_files import atomic_path
from isnet.io.console import format_bytes

__all__ = ["FileDigest", "atomic_torch_save", "file_digest"]


@dataclass(frozen=True)
class FileDigest:
    """What a file's content is known by: its size in bytes and its SHA-256 in hex."""

    bytes: int
    sha256: str


def file_digest(file: IO[bytes]) -> FileDigest:
    """Read an open file from its beginning to its end."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # typeshed
    return FileDigest(file.tell(), digest)


@contextlib.contextmanager
def atomic_torch_save(path: Path, value: Any) -> Iterator[FileDigest]:
    """Write `value` by `torch.save` beside `path`, and yield what `path` will hold; it takes its
    place on disk when the block ends, and what it held before stays if anything goes wrong.

    Equal content gives equal bytes (torch names its records after the file otherwise).

    Raises:
        UserError: the disk or the quota is full, or does not take the file for another reason.
    """
    sink = None
    try:
        with atomic_path(path) as temporary:
            with temporary.open("wb", buffering=0) as file:
                sink = _Sink(file)
                torch.save(value, cast("IO[bytes]", sink))
                if sink.failure is not None:
                    raise sink.failure
            yield sink.seal
    except OSError as error:
        raise _refusal(path, sink.size if sink else None, error) from None


class _Sink:
    """What torch writes to: hashes and writes.

    After an exception it only counts: torch would turn any, a keyboard interrupt too, into a
    RuntimeError about positions. So the size that was needed is known as well.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self.digest = hashlib.sha256()
        self.failure: BaseException | None = None

    @property
    def seal(self) -> FileDigest:
        """Of all that was written."""
        return FileDigest(self.size, self.digest.hexdigest())

    def write(self, data: bytes | memoryview) -> int:
        """Take the next bytes."""
        self.size += len(data)
        if self.failure is None:
            try:
                self.digest.update(data)
                rest = memoryview(data)
                while rest:  # Linux takes at most 2 GB at once
                    rest = rest[self.file.write(rest) :]
            except BaseException as failure:
                self.failure = failure
        return len(data)

    def flush(self) -> None:
        """Nothing is held back; torch calls it."""


def _refusal(path: Path, needed: int | None, error: OSError) -> UserError:
    """Return one line for a disk that did not take `path`; its temporary file is gone by now."""
    size = "" if needed is None else f"it needs {format_bytes(needed)}"
    free = ""
    with contextlib.suppress(OSError):
        free = f"{format_bytes(shutil.disk_usage(path.parent).free)} are free"
    sizes = " and ".join(part for part in (size, free) if part)
    what, hint = {
        errno.ENOSPC: ("the disk is full", "Make room there"),
        errno.EDQUOT: ("your quota of the disk is used up", "Make room there"),
        errno.EFBIG: (
            "a file of that size is not allowed here",
            "Raise the limit (ulimit -f), or use a file system without one",
        ),
        errno.EROFS: ("the disk can only be read", "Make it writable"),
    }.get(error.errno or 0, (f"cannot be written: {error.strerror or error}", "Make it writable"))
    return UserError(
        f"{what}: {sizes}" if sizes else what,
        where=str(path),
        hint=f"{hint}; the same command then continues",
    )

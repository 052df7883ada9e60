"""Atomic `torch.save` that hashes the file while writing, and explains write errors."""

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

_NO_LIMIT = "Raise the limit (ulimit -f), or use a file system without one"
_WRITE_ERRORS = {
    errno.ENOSPC: ("the disk is full", "Free some space there"),
    errno.EDQUOT: ("your disk quota is used up", "Free some space there"),
    errno.EFBIG: ("a file of that size is not allowed here", _NO_LIMIT),
    errno.EROFS: ("the disk is read-only", "Make it writable"),
}
"""Message and hint by the number of an OSError."""


@dataclass(frozen=True)
class FileDigest:
    """Size in bytes and SHA-256 (hex) of the content of a file."""

    bytes: int
    sha256: str


def file_digest(file: IO[bytes]) -> FileDigest:
    """Compute the digest of the whole content of an open file."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # typeshed
    return FileDigest(file.tell(), digest)


@contextlib.contextmanager
def atomic_torch_save(path: Path, value: Any) -> Iterator[FileDigest]:
    """Save `value` to a temporary file, yield its digest, and rename the file after the block.

    Equal values give equal bytes: torch would write the name of a given path into the file.

    Raises:
        UserError: the disk or the quota is full, or the file cannot be written.
    """
    writer = None
    try:
        with atomic_path(path) as temporary:
            with temporary.open("wb", buffering=0) as file:
                writer = _HashingWriter(file)
                torch.save(value, cast("IO[bytes]", writer))
                if writer.failure is not None:
                    raise writer.failure
            yield FileDigest(writer.size, writer.digest.hexdigest())
    except OSError as error:
        raise _write_error(path, writer.size if writer else None, error) from None


class _HashingWriter:
    """File object for `torch.save` that writes, hashes and counts the bytes.

    After an exception it only counts, so that the needed size is known, and keeps the exception:
    torch would turn any, even a KeyboardInterrupt, into a RuntimeError about file positions.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self.digest = hashlib.sha256()
        self.failure: BaseException | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write `data` and return its length."""
        self.size += len(data)
        if self.failure is None:
            try:
                self.digest.update(data)
                rest = memoryview(data)
                while rest:  # Linux writes at most 2 GB per call
                    rest = rest[self.file.write(rest) :]
            except BaseException as failure:
                self.failure = failure
        return len(data)

    def flush(self) -> None:
        """Do nothing. torch requires this method."""


def _write_error(path: Path, needed: int | None, error: OSError) -> UserError:
    """Return an error that says why `path` cannot be written, with the needed and free bytes."""
    sizes = [] if needed is None else [f"it needs {format_bytes(needed)}"]
    with contextlib.suppress(OSError):
        sizes.append(f"{format_bytes(shutil.disk_usage(path.parent).free)} are free")
    unknown = (f"cannot be written: {error.strerror or error}", "Make it writable")
    what, hint = _WRITE_ERRORS.get(error.errno or 0, unknown)
    what = f"{what}: {' and '.join(sizes)}" if sizes else what
    return UserError(what, where=str(path), hint=f"{hint}; the same command then continues")

"""Tar archives, plain or compressed, read as a stream: once, and in the order they have."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

from isnet.data.download.archive_members import (
    BadArchive,
    Links,
    bomb,
    inner_path,
    no_file,
    placing,
    ratio_limit,
    save,
)

__all__ = ["TarArchive", "is_tar"]


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


_OPENERS: dict[bytes, Callable[[IO[bytes]], _Readable]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": lambda file: bz2.BZ2File(file),
    b"\xfd7zXZ\0": lambda file: lzma.LZMAFile(file),
}
"""First bytes of a compressed file -> its reader, which checks the CRCs."""
_BLOCK = 1 << 18
_READ_ERRORS = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


def is_tar(path: Path) -> bool:
    """Whether a file begins as tar archives do, or as what they are compressed with."""
    with path.open("rb") as file:
        return _reader(file) is not None or tarfile.is_tarfile(path)


class _Stream:
    """The decompressed bytes, counted."""

    def __init__(self, file: _Readable, archive: Path) -> None:
        self._file, self._archive, self._limit = file, archive, ratio_limit(archive)
        self.position = 0
        self.end_of_content = 0
        """Where the zeros begin that the archive ends with, as far as it was read."""

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        content = len(data.rstrip(b"\0"))
        if content:
            self.end_of_content = self.position + content
        self.position += len(data)
        if self.position > self._limit:
            raise bomb(self._archive)
        return data

    def drain(self) -> None:
        """Read to the end, where the checksum of gzip stands."""
        while self.read(_BLOCK):
            pass


class TarArchive:
    """A tar archive. An unpacking that was interrupted writes it again from its start."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def announced(self) -> int:
        """Return the archive's own size: it does not tell what it holds before it is read."""
        return self.path.stat().st_size

    def unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        """See `Archive`."""
        links: Links = {}
        try:
            with self.path.open("rb") as raw:
                stream = _Stream(_decompressed(raw), self.path)
                with tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]
                    for member in tar:
                        self._write(tar, member, folder, links)
                        advance(raw.tell())
                    self._refuse_early_end(stream, tar)
        except _READ_ERRORS as error:
            raise self._damaged(str(error)) from None
        return links

    def _write(
        self, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, links: Links
    ) -> None:
        path = folder / inner_path(self.path, member.name)
        if member.isdir():
            with placing(self.path, path):
                path.mkdir(parents=True, exist_ok=True)
        elif member.issym():
            links[member.name] = member.linkname
        elif member.islnk():
            self._link(folder / inner_path(self.path, member.linkname), path)
        elif member.isreg() and not member.issparse():
            content = tar.extractfile(member)
            assert content is not None  # it is a file
            save(self.path, content.read, path)
        else:
            raise no_file(self.path, member.name)

    def _link(self, earlier: Path, path: Path) -> None:
        """Let `path` share the content of a file that was unpacked before."""
        if not earlier.is_file():
            raise self._damaged(f"{path.name} is a hard link to no file")
        if earlier == path:
            return
        with placing(self.path, path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            os.link(earlier, path)

    def _refuse_early_end(self, stream: _Stream, tar: tarfile.TarFile) -> None:
        """tarfile takes a damaged header, or the end of a cut file, for the end of the archive."""
        end = tar.offset
        stream.drain()
        if stream.end_of_content > end:
            raise self._damaged("a header is damaged")
        if stream.position < end + tarfile.BLOCKSIZE:
            raise self._damaged("it ends too early")

    def _damaged(self, what: str) -> BadArchive:
        return BadArchive(f"{self.path} cannot be unpacked: {what}", hint="Get it again")


def _decompressed(raw: IO[bytes]) -> _Readable:
    reader = _reader(raw)
    return reader(raw) if reader else raw


def _reader(raw: IO[bytes]) -> Callable[[IO[bytes]], _Readable] | None:
    head = raw.read(6)
    raw.seek(0)
    return next((reader for start, reader in _OPENERS.items() if head.startswith(start)), None)

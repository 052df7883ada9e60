"""Tar archives, plain or compressed, read as a stream."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from isnet.data.download.archive_base import Archive, Links

_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""First bytes of a compressed file -> its reader, which unlike tarfile's own checks the CRCs."""
_BLOCK = 1 << 18
_READ_ERRORS = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


def is_tar(path: Path) -> bool:
    """Return whether a file begins like a tar archive or a file compressed with gzip, bzip2, xz."""
    with path.open("rb") as file:
        return _opener(file) is not None or tarfile.is_tarfile(path)


class _LimitedReader:
    """The decompressed bytes of an archive; raises BadArchive beyond its size limit."""

    def __init__(self, raw: IO[bytes], archive: Archive) -> None:
        opener = _opener(raw)
        self._file = opener(raw) if opener else raw
        self._archive = archive
        self.position = 0
        self.end_of_content = 0
        """Behind the last byte so far that is not zero: an archive ends with zeros."""

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        content = len(data.rstrip(b"\0"))
        if content:
            self.end_of_content = self.position + content
        self.position += len(data)
        if self.position > self._archive.max_bytes:
            raise self._archive.bomb()
        return data


class TarArchive(Archive):
    """A tar archive. After an interruption it is unpacked again from its start."""

    def unpacked_bytes(self) -> int:
        """Return the size of the archive itself; that of its members is not known beforehand."""
        return self.path.stat().st_size

    def unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        """See `Archive`."""
        links: Links = {}
        try:
            with self.path.open("rb") as raw:
                reader = _LimitedReader(raw, self)
                with tarfile.open(fileobj=reader, mode="r|") as tar:  # type: ignore[call-overload]
                    for member in tar:
                        if member.issym():
                            links[member.name] = member.linkname
                        else:
                            self._write(tar, member, folder)
                        advance(raw.tell())
                    self._check_end(reader, tar.offset)
        except _READ_ERRORS as error:
            raise self.damaged(error) from None
        return links

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
        path = folder / self.inner_path(member.name)
        if member.isdir():
            self.make_folder(path)
        elif member.islnk():
            self.make_hard_link(folder / self.inner_path(member.linkname), path)
        elif member.isreg() and not member.issparse():
            content = tar.extractfile(member)
            assert content is not None  # it is a file
            self.save(content.read, path)
        else:
            raise self.special(member.name)

    def _check_end(self, reader: _LimitedReader, end: int) -> None:
        """Raise BadArchive unless the archive ends at `end`, where tarfile stopped.

        tarfile stops without an error at a damaged header and at the end of a truncated file.
        """
        while reader.read(_BLOCK):  # to the end, where gzip has its checksum
            pass
        if reader.end_of_content > end:
            raise self.damaged("a header is damaged")
        if reader.position < end + tarfile.BLOCKSIZE:
            raise self.damaged("it ends too early")


def _opener(raw: IO[bytes]) -> Callable[[IO[bytes]], Any] | None:
    head = raw.read(6)
    raw.seek(0)
    return next((opener for start, opener in _OPENERS.items() if head.startswith(start)), None)

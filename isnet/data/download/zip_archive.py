"""Zip archives: all members are checked first, then unpacked by several threads."""

import stat
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from isnet.data.download.archive_base import Archive, BadArchive, Links

_MAX_WORKERS = 8
"""Decompression and checksums run in parallel, but opening members does not."""
_BLOCK = 1 << 20
_ENCRYPTED = 0x1
_LONGEST_TARGET = 4096
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)


class ZipArchive(Archive):
    """A zip archive. Its files are checked against their CRCs."""

    def __init__(self, path: Path, workers: int) -> None:
        super().__init__(path)
        self._workers = min(workers, _MAX_WORKERS)
        try:
            with zipfile.ZipFile(path) as zipped:
                self._members = zipped.infolist()
        except _READ_ERRORS as error:
            raise self.damaged(error) from None

    def unpacked_bytes(self) -> int:
        """Return the sum of the stored sizes; zipfile reads no more of a member than that."""
        size = sum(member.file_size for member in self._members)
        if size > self.max_bytes:
            raise self.bomb()
        return size

    def unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        """See `Archive`; files of an earlier attempt are kept if their CRC is right."""
        try:
            with zipfile.ZipFile(self.path) as zipped:
                files, links = self._sort(zipped, folder)
                self._write_all(zipped, files, advance)
        except (*_READ_ERRORS, UnicodeDecodeError) as error:
            raise self.damaged(error) from None
        return links

    def _sort(
        self, zipped: zipfile.ZipFile, folder: Path
    ) -> tuple[dict[Path, zipfile.ZipInfo], Links]:
        """Make the folders; return the files by path, and the links. The last of a name counts."""
        files: dict[Path, zipfile.ZipInfo] = {}
        links: Links = {}
        for member in self._members:
            path = self.inner_path(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.flag_bits & _ENCRYPTED:
                raise BadArchive(
                    f"{self.path} is encrypted", hint="Unpack it yourself and give the folder"
                )
            if member.is_dir():
                self.make_folder(folder / path)
            elif kind == stat.S_IFLNK:
                with zipped.open(member) as file:
                    links[str(path)] = file.read(_LONGEST_TARGET).decode()
            elif kind in (0, stat.S_IFREG):
                files[folder / path] = member
            else:
                raise self.special(member.filename)
        return files, links

    def _write_all(
        self,
        zipped: zipfile.ZipFile,
        files: dict[Path, zipfile.ZipInfo],
        advance: Callable[[int], None],
    ) -> None:
        done = 0
        with ThreadPoolExecutor(self._workers) as pool:
            tasks = [pool.submit(self._write, zipped, *item) for item in files.items()]
            try:
                for task in tasks:
                    done += task.result()
                    advance(done)
            except BaseException:  # Ctrl-C too
                pool.shutdown(cancel_futures=True)
                raise

    def _write(self, zipped: zipfile.ZipFile, path: Path, member: zipfile.ZipInfo) -> int:
        """Write a file unless it is there; return its compressed size."""
        if not _is_unpacked(member, path):
            with zipped.open(member) as content:
                self.save(content.read, path)
        return member.compress_size


def _is_unpacked(member: zipfile.ZipInfo, path: Path) -> bool:
    """Return whether an earlier attempt wrote the member: reading is faster than decompressing."""
    if not path.is_file() or path.stat().st_size != member.file_size:
        return False
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc == member.CRC

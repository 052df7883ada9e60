"""Zip archives: members are checked before the first is written, then unpacked side by side."""

from __future__ import annotations

import stat
import threading
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

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

__all__ = ["ZipArchive"]

_MOST_WORKERS = 8
"""Inflating and checking run beside each other; opening members does not, and takes over."""
_FEW = 64
"""Members that are not worth a second thread."""
_BLOCK = 1 << 20
_ENCRYPTED = 0x1
_LONGEST_TARGET = 4096
_READ_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError)

Members = dict[Path, zipfile.ZipInfo]
"""Path relative to the folder -> member."""


class ZipArchive:
    """A zip archive, whose files are checked against their CRCs."""

    def __init__(self, path: Path, workers: int) -> None:
        self.path = path
        self._workers = min(workers, _MOST_WORKERS)

    @cached_property
    def _infos(self) -> list[zipfile.ZipInfo]:
        try:
            with zipfile.ZipFile(self.path) as zipped:
                return zipped.infolist()
        except _READ_ERRORS as error:
            raise _damaged(self.path, error) from None

    def announced(self) -> int:
        """Return the bytes of all members; zipfile reads no more of them than they announce.

        Raises:
            BadArchive: it is damaged or a bomb.
        """
        size = sum(info.file_size for info in self._infos)
        if size > ratio_limit(self.path):
            raise bomb(self.path)
        return size

    def unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        """See `Archive`. Files of an earlier attempt are kept if their CRC is right."""
        files, links = self._sort(folder)
        members = list(files.items())
        workers = self._workers if len(members) > _FEW else 1
        work = _Work(self.path, folder, advance)
        with ThreadPoolExecutor(workers) as pool:
            try:
                shares = (members[number::workers] for number in range(workers))
                for result in [pool.submit(work.unpack, share) for share in shares]:
                    result.result()
            finally:
                work.stop.set()  # after an error, or Ctrl-C, nobody goes on
        return {str(path): self._target(info) for path, info in links.items()}

    def _sort(self, folder: Path) -> tuple[Members, Members]:
        """Make the folders; return files and links. A name that stands twice means the last."""
        files: Members = {}
        links: Members = {}
        for info in self._infos:
            path = Path(inner_path(self.path, info.filename))
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.flag_bits & _ENCRYPTED:
                raise BadArchive(
                    f"{self.path} is encrypted", hint="Unpack it yourself and give the folder"
                )
            if info.is_dir():
                with placing(self.path, folder / path):
                    (folder / path).mkdir(parents=True, exist_ok=True)
            elif kind == stat.S_IFLNK:
                links[path] = info
            elif kind in (0, stat.S_IFREG):
                files[path] = info
            else:
                raise no_file(self.path, info.filename)
        return files, links

    def _target(self, link: zipfile.ZipInfo) -> str:
        try:
            with zipfile.ZipFile(self.path) as zipped, zipped.open(link) as file:
                return file.read(_LONGEST_TARGET).decode()
        except (*_READ_ERRORS, UnicodeDecodeError) as error:
            raise _damaged(self.path, error) from None


class _Work:
    """What the threads share."""

    def __init__(self, archive: Path, folder: Path, advance: Callable[[int], None]) -> None:
        self._archive, self._folder, self._advance = archive, folder, advance
        self._done = 0
        self._counting = threading.Lock()
        self.stop = threading.Event()

    def unpack(self, members: list[tuple[Path, zipfile.ZipInfo]]) -> None:
        """Write some of the members, as one thread of several."""
        try:
            with zipfile.ZipFile(self._archive) as zipped:
                for path, info in members:
                    if self.stop.is_set():
                        return
                    self._write(zipped, info, self._folder / path)
        except _READ_ERRORS as error:
            self.stop.set()
            raise _damaged(self._archive, error) from None
        except BaseException:
            self.stop.set()
            raise

    def _write(self, zipped: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
        if not _is_there(info, path):
            with zipped.open(info) as member:
                save(self._archive, member.read, path)
        with self._counting:
            self._done += info.compress_size
            self._advance(self._done)


def _is_there(info: zipfile.ZipInfo, path: Path) -> bool:
    """Whether an earlier attempt wrote the member: reading is cheaper than inflating."""
    if not path.is_file() or path.stat().st_size != info.file_size:
        return False
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc == info.CRC


def _damaged(archive: Path, error: Exception) -> BadArchive:
    return BadArchive(f"{archive} cannot be unpacked: {error}", hint="Get it again")

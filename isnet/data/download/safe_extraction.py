"""Unpacks zip and tar archives of unknown origin safely.

The unpacked size is limited, and no file is written outside the target folder. tarfile's own filter
is not enough: zip files have none, and before Python 3.11.13 links lead outside (CVE-2025-4517).
"""

import bz2
import contextlib
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import IO, Any

from isnet.errors import UserError
from isnet.io.console import format_bytes
from isnet.io.disk_space import explain_write_errors

_MAX_RATIO = 200
_ALWAYS_ALLOWED_BYTES = 1 << 30
"""An archive may unpack to 200 times its size, and always to 1 GiB: labels compress very well."""
_CHUNK = 1 << 18
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip. `zipfile.is_zipfile` reads the end, and so mistakes a tar of zips."""
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""Opener of each compressed format of tar archives, by the first bytes of the file.

Unlike tarfile's own readers, these check the CRCs.
"""
_MAX_WORKERS = 8
"""Limit on threads for a zip: its files are decompressed in parallel, but opened one by one."""
_ENCRYPTED = 0x1
_LONGEST_TARGET = 4096
_READ_ERRORS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, UnicodeDecodeError),
)

Links = dict[str, str]
"""Target of each symbolic link in an archive, by the link's name, both as stored there."""


class BadArchive(UserError):
    """The error for an archive that is damaged or hostile."""


class Archive(ABC):
    """Base class for unpacking a local archive file. Each subclass reads one format."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._max_bytes = max(self.size * _MAX_RATIO, _ALWAYS_ALLOWED_BYTES)

    @abstractmethod
    def unpacked_bytes(self) -> int:
        """Return a lower bound of the disk space that the unpacked files need, in bytes.

        Raises BadArchive if the archive is a decompression bomb.
        """

    def unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        """Write the files of the archive into `folder`; return its symbolic links.

        `folder` has no links. It may contain files of an interrupted earlier call. `advance` is
        called with the number of bytes of the archive that are done.

        Raises:
            BadArchive: the archive is damaged or a decompression bomb, or contains a path outside
                `folder`.
            UserError: the disk is full.
        """
        try:
            return self._unpack(folder, advance)
        except _READ_ERRORS as error:
            raise self._damage_error(error) from None

    @abstractmethod
    def _unpack(self, folder: Path, advance: Callable[[int], None]) -> Links: ...

    def make_links(self, folder: Path, links: Links) -> None:
        """Create the symbolic links of the archive in `folder`.

        Call this after all files are unpacked, so that no file is written through a link.

        Raises:
            BadArchive: the target of a link is missing, outside `folder`, or behind another link.
        """
        for name, target in links.items():
            path = folder / self._inner_path(name)
            if any((folder / parent).is_symlink() for parent in PurePosixPath(name).parents):
                raise self._outside(name)
            if os.path.lexists(path):
                raise self._bad(f"contains {_quote(name)} twice")
            with self._create(path):
                path.symlink_to(target)
        for name, target in links.items():
            if not _stays_inside(folder, (folder / name).parent, target):
                link = f"a link {_quote(name)} to {_quote(target)}"
                raise self._bad(f"contains {link}, which is not in its folder")

    def _inner_path(self, name: str) -> Path:
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise self._outside(name)
        return path

    def _save(self, content: IO[bytes], path: Path) -> None:
        """Write `content` to `path`, in place of an existing file."""
        with self._create(path):
            path.unlink(missing_ok=True)  # another hard link may share its content
            file = path.open("wb")
        with file:
            while chunk := content.read(_CHUNK):
                with explain_write_errors(path):
                    file.write(chunk)
            with explain_write_errors(path):
                file.flush()

    @contextlib.contextmanager
    def _create(self, path: Path) -> Iterator[None]:
        with explain_write_errors(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                yield
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise self._bad(
                    f"contains a file and a folder of the same name, at {path}",
                    "Get it again, or unpack it yourself and give the folder",
                ) from None

    def _make_folder(self, path: Path) -> None:
        with self._create(path):
            path.mkdir(exist_ok=True)

    def _bad(self, what: str, hint: str = "Do not use it") -> BadArchive:
        return BadArchive(f"{self.path} {what}", hint=hint)

    def _outside(self, name: str) -> BadArchive:
        return self._bad(f"contains {_quote(name)}, which is outside its folder")

    def _special(self, name: str) -> BadArchive:
        return self._bad(f"contains {_quote(name)}, which is neither a file, a folder nor a link")

    def _damage_error(self, why: object) -> BadArchive:
        return self._bad(f"cannot be unpacked: {why}", "Get it again")

    def _check_growth(self, size: int) -> None:
        if size > self._max_bytes:
            raise self._bad(
                f"({format_bytes(self.size)}) grows to more than "
                f"{format_bytes(self._max_bytes)}, like a decompression bomb",
                "If you trust it, unpack it yourself and give the folder",
            )


def open_archive(path: Path, workers: int) -> Archive:
    """Open a zip or tar archive, whose format is recognised by the first bytes.

    `workers` is the number of threads that unpack a zip. Raises BadArchive if the file is neither a
    zip nor a tar archive, or is a damaged zip.
    """
    with path.open("rb") as file:
        if file.read(4) in _ZIP:
            return ZipArchive(path, workers)
        if _opener(file) or tarfile.is_tarfile(path):
            return TarArchive(path)
    hint = "Get it again (is it an HTML page?)"
    raise BadArchive(f"{path} is neither a zip nor a tar archive", hint=hint)


def _opener(file: IO[bytes]) -> Callable[[IO[bytes]], Any] | None:
    file.seek(0)
    head = file.read(6)
    file.seek(0)
    return next((opener for start, opener in _OPENERS.items() if head.startswith(start)), None)


def _stays_inside(folder: Path, place: Path, target: str) -> bool:
    """Return whether the target of a link exists inside `folder`, on a path without other links.

    `place` is the folder of the link, from which `target` starts.
    """
    for part in PurePosixPath(target).parts:
        if place.is_symlink():
            return False
        place = place.parent if part == ".." else place / part
        if not place.is_relative_to(folder):
            return False
    return os.path.lexists(place)


def _quote(name: str) -> str:
    return name if name.isprintable() else repr(name)


class TarArchive(Archive):
    """A plain or compressed tar archive. After an interruption, it is unpacked from its start."""

    def unpacked_bytes(self) -> int:
        """Return the size of the archive, as the size of its content is not known beforehand."""
        return self.size

    def _unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        links: Links = {}
        with self.path.open("rb") as raw:
            reader = _LimitedReader(raw, self._check_growth)
            with tarfile.open(fileobj=reader, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    if member.issym():
                        links[member.name] = member.linkname
                    else:
                        self._write(tar, member, folder)
                    advance(raw.tell())
                self._check_end(reader, tar.offset)
        return links

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
        path = folder / self._inner_path(member.name)
        if member.isdir():
            self._make_folder(path)
        elif member.islnk():
            earlier = folder / self._inner_path(member.linkname)
            if not earlier.is_file():
                raise self._damage_error(f"{path.name} is a hard link to no file")
            if earlier != path:
                with self._create(path):
                    path.unlink(missing_ok=True)
                    os.link(earlier, path)
        elif member.isreg() and not member.issparse():
            content = tar.extractfile(member)
            assert content is not None  # it is a file
            self._save(content, path)
        else:
            raise self._special(member.name)

    def _check_end(self, reader: "_LimitedReader", end: int) -> None:
        """Raise BadArchive unless the archive ends at `end`, the offset at which tarfile stopped.

        tarfile stops without an error at a damaged header and at the end of a truncated file.
        """
        while reader.read(_CHUNK):  # to the end, where gzip has its checksum
            pass
        if reader.end_of_content > end:
            raise self._damage_error("a header is damaged")
        if reader.position < end + tarfile.BLOCKSIZE:
            raise self._damage_error("it ends too early")


class _LimitedReader:
    """Reader of the decompressed bytes of a tar; `check_growth` raises if they are too many."""

    def __init__(self, raw: IO[bytes], check_growth: Callable[[int], None]) -> None:
        opener = _opener(raw)
        self._file = opener(raw) if opener else raw
        self._check_growth = check_growth
        self.position = 0
        self.end_of_content = 0
        """Offset after the last non-zero byte so far, because an archive ends with zeros."""

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        if content := len(data.rstrip(b"\0")):
            self.end_of_content = self.position + content
        self.position += len(data)
        self._check_growth(self.position)
        return data


class ZipArchive(Archive):
    """A zip archive. All of its entries are checked first, then unpacked by several threads."""

    def __init__(self, path: Path, workers: int) -> None:
        super().__init__(path)
        self._workers = min(workers, _MAX_WORKERS)
        try:
            with zipfile.ZipFile(path) as zipped:
                self._members = zipped.infolist()
        except _READ_ERRORS as error:
            raise self._damage_error(error) from None

    def unpacked_bytes(self) -> int:
        """Return the sum of the file sizes that the zip states; zipfile never unpacks more."""
        size = sum(member.file_size for member in self._members)
        self._check_growth(size)
        return size

    def _unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        with zipfile.ZipFile(self.path) as zipped, ThreadPoolExecutor(self._workers) as pool:
            files, links = self._sort(zipped, folder)
            tasks = [pool.submit(self._write, zipped, *item) for item in files.items()]
            done = 0
            try:
                for task in tasks:
                    done += task.result()
                    advance(done)
            except BaseException:  # Ctrl-C too
                pool.shutdown(cancel_futures=True)
                raise
        return links

    def _sort(
        self, zipped: zipfile.ZipFile, folder: Path
    ) -> tuple[dict[Path, zipfile.ZipInfo], Links]:
        """Create the folders of the archive; return its files by path, and its links.

        Of several entries with the same name, the last one is used.
        """
        files: dict[Path, zipfile.ZipInfo] = {}
        links: Links = {}
        for member in self._members:
            path = folder / self._inner_path(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.flag_bits & _ENCRYPTED:
                raise self._bad("is encrypted", "Unpack it yourself and give the folder")
            if member.is_dir():
                self._make_folder(path)
            elif kind == stat.S_IFLNK:
                with zipped.open(member) as file:
                    name = str(path.relative_to(folder))
                    links[name] = file.read(_LONGEST_TARGET).decode()
            elif kind in (0, stat.S_IFREG):
                files[path] = member
            else:
                raise self._special(member.filename)
        return files, links

    def _write(self, zipped: zipfile.ZipFile, path: Path, member: zipfile.ZipInfo) -> int:
        """Unpack a file unless an earlier call has done so; return its compressed size in bytes."""
        if not _is_unpacked(member, path):
            with zipped.open(member) as content:
                self._save(content, path)
        return member.compress_size


def _is_unpacked(member: zipfile.ZipInfo, path: Path) -> bool:
    """Return whether `path` already has the content of `member`, by size and CRC-32."""
    if not path.is_file() or path.stat().st_size != member.file_size:
        return False
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            crc = zlib.crc32(block, crc)
    return crc == member.CRC

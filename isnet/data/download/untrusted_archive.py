"""Zip and tar archives of unknown origin: a limit on their size, and no file outside a folder."""

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
"""An archive may grow 200-fold, and to 1 GiB in any case: label images of one class shrink well."""
_CHUNK = 1 << 18
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""First bytes of a zip. `zipfile.is_zipfile` reads the end, and takes a tar of zips for one."""
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""First bytes of a compressed tar -> its reader, which unlike tarfile's own checks the CRCs."""
_MAX_WORKERS = 8
"""Decompression and checksums of a zip run in parallel, but opening members does not."""
_ENCRYPTED = 0x1
_LONGEST_TARGET = 4096
_READ_ERRORS = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(NotImplementedError, UnicodeDecodeError),
)

Links = dict[str, str]
"""Symbolic links of an archive: name -> target, both as stored in it."""


class BadArchive(UserError):
    """An archive is damaged or hostile."""


class Archive(ABC):
    """An archive on this machine. Subclasses read one format each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._max_bytes = max(path.stat().st_size * _MAX_RATIO, _ALWAYS_ALLOWED_BYTES)

    @abstractmethod
    def unpacked_bytes(self) -> int:
        """Return a lower bound of the disk space that the members need.

        Raises:
            BadArchive: it is a decompression bomb.
        """

    def unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        """Write the files of the archive into `folder`; return its symbolic links.

        Args:
            folder: contains no links, but maybe files of an interrupted attempt.
            advance: called with the number of bytes of the archive that are done.

        Raises:
            BadArchive: it is damaged, a bomb, or has a member outside `folder`.
            UserError: the disk is full.
        """
        try:
            return self._unpack(folder, advance)
        except _READ_ERRORS as error:
            raise self._damaged(error) from None

    @abstractmethod
    def _unpack(self, folder: Path, advance: Callable[[int], None]) -> Links: ...

    def make_links(self, folder: Path, links: Links) -> None:
        """Make the symbolic links after all files, so that no file is written through a link.

        Raises:
            BadArchive: a target is missing, outside `folder`, or behind another link.
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
            if not _stays_inside(folder, PurePosixPath(name).parent, target):
                link = f"a link {_quote(name)} to {_quote(target)}"
                raise self._bad(f"contains {link}, which is not in its folder")

    def _inner_path(self, name: str) -> Path:
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise self._outside(name)
        return path

    def _save(self, read: Callable[[int], bytes], path: Path) -> None:
        """Write the bytes that `read` returns to `path`; replaces a file that is there."""
        with self._create(path):
            path.unlink(missing_ok=True)  # another hard link may share its content
            file = path.open("wb")
        with file:
            while chunk := read(_CHUNK):
                with explain_write_errors(path):
                    file.write(chunk)
            with explain_write_errors(path):
                file.flush()

    @contextlib.contextmanager
    def _create(self, path: Path) -> Iterator[None]:
        """Make the parent of `path`; report a member that is in the way, or a full disk."""
        with explain_write_errors(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                yield
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise self._bad(
                    f"contains a file and a folder of the same name, at {path}",
                    "Get it again, or unpack it yourself and give the folder",
                ) from None

    def _bad(self, what: str, hint: str = "Do not use it") -> BadArchive:
        return BadArchive(f"{self.path} {what}", hint=hint)

    def _outside(self, name: str) -> BadArchive:
        return self._bad(f"contains {_quote(name)}, which is outside its folder")

    def _special(self, name: str) -> BadArchive:
        what = f"contains {_quote(name)}, which is neither a file, a folder nor a link"
        return self._bad(what)

    def _damaged(self, why: object) -> BadArchive:
        return self._bad(f"cannot be unpacked: {why}", "Get it again")

    def _check_growth(self, size: int) -> None:
        if size > self._max_bytes:
            raise self._bad(
                f"({format_bytes(self.path.stat().st_size)}) grows to more than "
                f"{format_bytes(self._max_bytes)}, like a decompression bomb",
                "If you trust it, unpack it yourself and give the folder",
            )


def open_archive(path: Path, workers: int) -> Archive:
    """Open an archive; its first bytes decide the format.

    Raises:
        BadArchive: it is neither a zip nor a tar, or a damaged zip.
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


def _stays_inside(folder: Path, start: PurePosixPath, target: str) -> bool:
    """Return whether `target`, relative to `start`, exists in `folder`, with no link on the way."""
    if target.startswith("/"):
        return False
    here = list(start.parts)
    for part in PurePosixPath(target).parts:
        if Path(folder, *here).is_symlink():
            return False
        if part != "..":
            here.append(part)
        elif here:
            here.pop()
        else:
            return False
    return os.path.lexists(Path(folder, *here))


def _quote(name: str) -> str:
    return name if name.isprintable() else repr(name)


class TarArchive(Archive):
    """A tar archive, plain or compressed. After an interruption it is unpacked from its start."""

    def unpacked_bytes(self) -> int:
        """Return the size of the archive itself; that of its members is not known beforehand."""
        return self.path.stat().st_size

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
            with self._create(path):
                path.mkdir(exist_ok=True)
        elif member.islnk():
            self._make_hard_link(folder / self._inner_path(member.linkname), path)
        elif member.isreg() and not member.issparse():
            content = tar.extractfile(member)
            assert content is not None  # it is a file
            self._save(content.read, path)
        else:
            raise self._special(member.name)

    def _make_hard_link(self, earlier: Path, path: Path) -> None:
        if not earlier.is_file():
            raise self._damaged(f"{path.name} is a hard link to no file")
        if earlier != path:
            with self._create(path):
                path.unlink(missing_ok=True)
                os.link(earlier, path)

    def _check_end(self, reader: "_LimitedReader", end: int) -> None:
        """Raise BadArchive unless the archive ends at `end`, where tarfile stopped.

        tarfile stops without an error at a damaged header and at the end of a truncated file.
        """
        while reader.read(_CHUNK):  # to the end, where gzip has its checksum
            pass
        if reader.end_of_content > end:
            raise self._damaged("a header is damaged")
        if reader.position < end + tarfile.BLOCKSIZE:
            raise self._damaged("it ends too early")


class _LimitedReader:
    """The decompressed bytes of a tar; `check_growth` is called with their number so far."""

    def __init__(self, raw: IO[bytes], check_growth: Callable[[int], None]) -> None:
        opener = _opener(raw)
        self._file = opener(raw) if opener else raw
        self._check_growth = check_growth
        self.position = 0
        self.end_of_content = 0
        """Behind the last byte so far that is not zero: an archive ends with zeros."""

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        if content := len(data.rstrip(b"\0")):
            self.end_of_content = self.position + content
        self.position += len(data)
        self._check_growth(self.position)
        return data


class ZipArchive(Archive):
    """A zip archive: all members are checked first, then unpacked by several threads."""

    def __init__(self, path: Path, workers: int) -> None:
        super().__init__(path)
        self._workers = min(workers, _MAX_WORKERS)
        try:
            with zipfile.ZipFile(path) as zipped:
                self._members = zipped.infolist()
        except _READ_ERRORS as error:
            raise self._damaged(error) from None

    def unpacked_bytes(self) -> int:
        """Return the sum of the stored sizes; zipfile reads no more of a member than that."""
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
        """Make the folders; return the files by path, and the links. The last of a name counts."""
        files: dict[Path, zipfile.ZipInfo] = {}
        links: Links = {}
        for member in self._members:
            path = folder / self._inner_path(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.flag_bits & _ENCRYPTED:
                raise self._bad("is encrypted", "Unpack it yourself and give the folder")
            if member.is_dir():
                with self._create(path):
                    path.mkdir(exist_ok=True)
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
        """Write a file unless an earlier attempt did; return its compressed size."""
        if not _is_unpacked(member, path):
            with zipped.open(member) as content:
                self._save(content.read, path)
        return member.compress_size


def _is_unpacked(member: zipfile.ZipInfo, path: Path) -> bool:
    """Return whether an earlier attempt wrote the member: reading is faster than decompressing."""
    if not path.is_file() or path.stat().st_size != member.file_size:
        return False
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            crc = zlib.crc32(block, crc)
    return crc == member.CRC

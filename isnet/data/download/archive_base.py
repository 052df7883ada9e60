"""Base class of zip and tar archives: safe member names, a size limit, writing files and links."""

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from isnet.errors import UserError
from isnet.io.console import format_bytes
from isnet.io.disk_space import explain_write_errors

_MAX_RATIO = 200
_ALWAYS_ALLOWED_BYTES = 1 << 30
"""An archive may grow 200-fold, and to 1 GiB in any case: label images of one class shrink well."""
_CHUNK = 1 << 18

Links = dict[str, str]
"""Symbolic links of an archive: name -> target, both as stored in it."""


class BadArchive(UserError):
    """An archive is damaged or hostile."""


class Archive(ABC):
    """An archive on this machine. Subclasses read one format each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.max_bytes = max(path.stat().st_size * _MAX_RATIO, _ALWAYS_ALLOWED_BYTES)

    @abstractmethod
    def unpacked_bytes(self) -> int:
        """Return a lower bound of the disk space that the members need.

        Raises:
            BadArchive: it is damaged or a decompression bomb.
        """

    @abstractmethod
    def unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        """Write the files of the archive into `folder`; return its symbolic links.

        Args:
            folder: contains no links, but maybe files of an interrupted attempt.
            advance: called with the number of bytes of the archive that are done.

        Raises:
            BadArchive: it is damaged, a bomb, or has a member outside `folder`.
            UserError: the disk is full.
        """

    def make_links(self, folder: Path, links: Links) -> None:
        """Make the symbolic links after all files, so that no file is written through a link.

        Raises:
            BadArchive: a target is missing, outside `folder`, or behind another link.
        """
        for name, target in links.items():
            path = folder / self.inner_path(name)
            if any((folder / parent).is_symlink() for parent in PurePosixPath(name).parents):
                raise self._outside(name)
            if os.path.lexists(path):
                raise self.unsafe(f"{_printable(name)} twice")
            with self._creating(path):
                path.symlink_to(target)
        for name, target in links.items():
            if not _stays_inside(folder, PurePosixPath(name).parent, target):
                link = f"a link {_printable(name)} to {_printable(target)}"
                raise self.unsafe(f"{link}, which is not in its folder")

    def inner_path(self, name: str) -> Path:
        """Return the path of the member `name`, relative to the folder that it is unpacked into.

        Raises:
            BadArchive: the path is absolute or leads out of the folder.
        """
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name:
            raise self._outside(name)
        return path

    def make_folder(self, path: Path) -> None:
        """Make a folder that the archive contains."""
        with self._creating(path):
            path.mkdir(exist_ok=True)

    def make_hard_link(self, earlier: Path, path: Path) -> None:
        """Let `path` share the content of the file `earlier`, which was unpacked before."""
        if not earlier.is_file():
            raise self.damaged(f"{path.name} is a hard link to no file")
        if earlier != path:
            with self._creating(path):
                path.unlink(missing_ok=True)
                os.link(earlier, path)

    def save(self, read: Callable[[int], bytes], path: Path) -> None:
        """Write the bytes that `read` returns to `path`; replaces a file that is there."""
        with self._creating(path):
            path.unlink(missing_ok=True)  # another hard link may share its content
            file = path.open("wb")
        with file:
            while chunk := read(_CHUNK):
                with explain_write_errors(path):
                    file.write(chunk)
            with explain_write_errors(path):
                file.flush()

    @contextlib.contextmanager
    def _creating(self, path: Path) -> Iterator[None]:
        """Make the parent of `path`; report a member that is in the way, or a full disk."""
        with explain_write_errors(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                yield
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise BadArchive(
                    f"{self.path} contains a file and a folder of the same name, at {path}",
                    hint="Get it again, or unpack it yourself and give the folder",
                ) from None

    def unsafe(self, what: str) -> BadArchive:
        """Return the error for an archive that contains `what`."""
        return BadArchive(f"{self.path} contains {what}", hint="Do not use it")

    def special(self, name: str) -> BadArchive:
        """Return the error for a member that is a device, a pipe or the like."""
        return self.unsafe(f"{_printable(name)}, which is neither a file, a folder nor a link")

    def _outside(self, name: str) -> BadArchive:
        return self.unsafe(f"{_printable(name)}, which is outside its folder")

    def bomb(self) -> BadArchive:
        """Return the error for an archive that grows beyond `max_bytes`."""
        return BadArchive(
            f"{self.path} ({format_bytes(self.path.stat().st_size)}) grows to more than "
            f"{format_bytes(self.max_bytes)}, like a decompression bomb",
            hint="If you trust it, unpack it yourself and give the folder",
        )

    def damaged(self, why: object) -> BadArchive:
        """Return the error for an archive that cannot be read."""
        return BadArchive(f"{self.path} cannot be unpacked: {why}", hint="Get it again")


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


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)

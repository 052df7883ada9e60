"""What archives of all kinds have in common: names that stay inside, limits, files written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from isnet.errors import UserError
from isnet.io.console import format_bytes
from isnet.io.disk_space import explain_write_errors

__all__ = [
    "Archive",
    "BadArchive",
    "Links",
    "bomb",
    "inner_path",
    "make_links",
    "no_file",
    "placing",
    "ratio_limit",
    "save",
]

_RATIO, _HARMLESS = 200, 1 << 30
"""An archive may grow 200-fold, and to 1 GiB in any case: label images of one class shrink well."""
_CHUNK = 1 << 18

Links = dict[str, str]
"""Symbolic links of an archive: name -> target, both as written there."""


class BadArchive(UserError):
    """Damaged or hostile: nothing of it is kept."""


class Archive(Protocol):
    """A zip or tar archive."""

    path: Path

    def announced(self) -> int:
        """Return the bytes that it needs at least."""

    def unpack(self, folder: Path, advance: Callable[[int], None]) -> Links:
        """Write its files into `folder`, which has no links; return the links that it wants.

        Args:
            folder: may hold files of an earlier attempt.
            advance: told how many of the archive's own bytes are done.

        Raises:
            BadArchive: it is damaged, leads outside, or is a bomb.
        """


def ratio_limit(archive: Path) -> int:
    """Return to how many bytes an archive may grow."""
    return max(archive.stat().st_size * _RATIO, _HARMLESS)


def bomb(archive: Path) -> BadArchive:
    """Return the error for an archive that grows beyond its limit."""
    return BadArchive(
        f"{archive} ({format_bytes(archive.stat().st_size)}) grows to more than "
        f"{format_bytes(ratio_limit(archive))}, as bombs do",
        hint="If you trust it, unpack it yourself and give the folder",
    )


def inner_path(archive: Path, name: str) -> PurePosixPath:
    """Return the path of the member `name` relative to the folder it is unpacked into.

    Raises:
        BadArchive: it would lie elsewhere.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise _outside(archive, name)
    return path


def _outside(archive: Path, name: str) -> BadArchive:
    return BadArchive(
        f"{archive} wants to write {_printable(name)}, outside its folder", hint="Do not use it"
    )


def no_file(archive: Path, name: str) -> BadArchive:
    """Return the error for a member that is a device or the like."""
    what = f"{_printable(name)}, which is neither file nor folder nor link"
    return BadArchive(f"{archive} wants to make {what}", hint="Do not use it")


@contextlib.contextmanager
def placing(archive: Path, path: Path) -> Iterator[None]:
    """Turn what goes wrong while a member is written to `path` into one line.

    Raises:
        BadArchive: another member is in its way.
        UserError: the disk is full.
    """
    with explain_write_errors(path):
        try:
            yield
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise BadArchive(
                f"{archive} has a file and a folder of one name, on the way to {path}",
                hint="Get it again, or unpack it yourself and give the folder",
            ) from None


def save(archive: Path, read: Callable[[int], bytes], path: Path) -> None:
    """Write what `read` gives to `path`, in place of what lies there.

    Raises:
        BadArchive: another member is in its way.
        UserError: the disk is full.
    """
    with placing(archive, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # it may share its content with a hard link
        file = path.open("wb")
    with file:
        while chunk := read(_CHUNK):
            with explain_write_errors(path):
                file.write(chunk)
        with explain_write_errors(path):
            file.flush()


def make_links(archive: Path, folder: Path, links: Links) -> None:
    """Make the symbolic links of an archive, after all files: so none was written through a link.

    Raises:
        BadArchive: one leads out of `folder`, through another link, or nowhere.
    """
    for name, target in links.items():
        path = folder / inner_path(archive, name)
        if _passes_link(folder, path.parent):
            raise _outside(archive, name)
        if os.path.lexists(path):
            raise BadArchive(f"{archive} has {_printable(name)} twice", hint="Do not use it")
        with placing(archive, path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
    for name, target in links.items():
        if not _stays_inside(folder, PurePosixPath(name).parent, target):
            raise BadArchive(
                f"{archive} wants a link {_printable(name)} to {_printable(target)}, "
                "which is not in its folder",
                hint="Do not use it",
            )


def _stays_inside(folder: Path, start: PurePosixPath, target: str) -> bool:
    """Walk from `start` to `target`, as the system would where no link is on the way."""
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


def _passes_link(folder: Path, path: Path) -> bool:
    return any(
        parent.is_symlink() for parent in (path, *path.parents) if parent.is_relative_to(folder)
    )


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)

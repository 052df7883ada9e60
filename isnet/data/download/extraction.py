"""Unpacking archives, which may be hostile or damaged, into one folder: whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isnet.data.download.archive_members import Archive, BadArchive, make_links
from isnet.data.download.tar_archive import TarArchive, is_tar
from isnet.data.download.zip_archive import ZipArchive
from isnet.io.atomic_files import write_json
from isnet.io.console import ProgressCallback
from isnet.io.disk_space import explain_write_errors, require_free_space
from isnet.io.wait_lock import exclusive

__all__ = ["unpack"]

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip begins. `zipfile.is_zipfile` looks at the end, and takes a tar of zips for one."""


def unpack(archives: Sequence[Path], folder: Path, *, workers: int, show: ProgressCallback) -> None:
    """Unpack zip and tar archives into one folder, which appears when all of them are unpacked.

    Until then files are in `NAME.part`; the same call continues there after an interruption, unless
    the archives have changed. A second process waits for the first one.

    Args:
        archives: in this order; a later one may overwrite files of an earlier one.
        folder: if it is there, nothing is done.
        workers: number of threads, for zips.
        show: told bytes of the archives done and in all.

    Raises:
        BadArchive: no archive, damaged, a bomb, or a member or link that would leave the folder;
            nothing is kept.
        UserError: the disk is full.
    """
    with exclusive(folder):
        if folder.is_dir():
            return
        attempt = _Attempt(archives, folder)
        try:
            opened = [_open(path, workers) for path in archives]
            attempt.refuse_small_disk(opened)
            attempt.unpack(opened, show)
        except BadArchive:
            attempt.discard()
            raise
        attempt.publish()


class _Attempt:
    """The folder `NAME.part`, and `NAME.part.json`: which archives it is made of, and their links
    where one is done.
    """

    def __init__(self, archives: Sequence[Path], folder: Path) -> None:
        self._folder = folder
        self._part = folder.with_name(f"{folder.name}.part")
        self._side = folder.with_name(f"{folder.name}.part.json")
        self._sources = [_identity(path) for path in archives]
        self._links: list[dict[str, str] | None] = self._earlier() or [None] * len(archives)
        with explain_write_errors(self._part):
            self._part.mkdir(parents=True, exist_ok=True)
            _remove_links(self._part)
            self._note()

    def _earlier(self) -> list[dict[str, str] | None] | None:
        """Return what an interrupted attempt at the same archives has reached; remove another's."""
        try:
            side = json.loads(self._side.read_text())
            if side["archives"] == self._sources and self._part.is_dir():
                links: list[dict[str, str] | None] = side["links"]
                return links
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.discard()
        return None

    def _note(self) -> None:
        write_json(self._side, {"archives": self._sources, "links": self._links})

    def refuse_small_disk(self, archives: Sequence[Archive]) -> None:
        needed = sum(archive.announced() for archive in archives)
        there = sum(
            (Path(place) / name).lstat().st_size
            for place, _, names in os.walk(self._part)
            for name in names
        )
        what = f"what is in {', '.join(archive.path.name for archive in archives)}"
        require_free_space(self._part, needed - there, what)

    def unpack(self, archives: Sequence[Archive], show: ProgressCallback) -> None:
        total = sum(source["bytes"] for source in self._sources)
        before = 0
        for number, archive in enumerate(archives):
            if self._links[number] is None:
                advance = _following(before, total, show)
                self._links[number] = archive.unpack(self._part, advance)
                with explain_write_errors(self._side):
                    self._note()
            before += self._sources[number]["bytes"]
            show(before, total)
        for archive, wanted in zip(archives, self._links, strict=True):
            make_links(archive.path, self._part, wanted or {})

    def discard(self) -> None:
        self._side.unlink(missing_ok=True)  # first: it says that archives are done
        shutil.rmtree(self._part, ignore_errors=True)

    def publish(self) -> None:
        with explain_write_errors(self._folder):
            self._part.rename(self._folder)
            self._side.unlink(missing_ok=True)


def _following(before: int, total: int, show: ProgressCallback) -> Callable[[int], None]:
    """Return what shows the progress of one archive as that of all."""

    def advance(done: int) -> None:
        show(before + done, total)

    return advance


def _identity(path: Path) -> dict[str, Any]:
    status = path.stat()
    return {"path": str(path), "bytes": status.st_size, "changed_ns": status.st_mtime_ns}


def _open(path: Path, workers: int) -> Archive:
    with path.open("rb") as file:
        head = file.read(4)
    if head in _ZIP:
        return ZipArchive(path, workers)
    if is_tar(path):
        return TarArchive(path)
    raise BadArchive(
        f"{path} is neither a zip nor a tar archive", hint="Get it again (is it an HTML page?)"
    )


def _remove_links(folder: Path) -> None:
    """Nothing may be written through a link that an earlier attempt has made."""
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place) / name
            if path.is_symlink():
                path.unlink()

"""Unpacks untrusted archives into one folder, which appears only when all archives are unpacked."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from isnet.data.download.safe_extraction import BadArchive, open_archive
from isnet.io.atomic_files import read_json, write_json
from isnet.io.console import ProgressCallback
from isnet.io.disk_space import explain_write_errors, require_free_space
from isnet.io.exclusive_lock import exclusive


def unpack(archives: Sequence[Path], folder: Path, *, workers: int, show: ProgressCallback) -> None:
    """Unpack zip and tar archives into one folder, unless the folder exists already.

    Archives are unpacked in this order; a later one may overwrite files of an earlier one. Files
    are written to the folder `NAME.part`, which is renamed at the end. After an interruption, the
    same call continues with this folder, unless the archives have changed. A second process waits
    for the first. `workers` threads unpack a zip. `show` is called with the number of bytes of the
    archives that are done and the total number.

    Raises:
        BadArchive: a file is no archive, is damaged or a decompression bomb, or contains a path or
            link to outside the folder. All that was unpacked is removed.
        UserError: the disk is full.
    """
    part, state = (folder.with_name(folder.name + ending) for ending in (".part", ".part.json"))
    with exclusive(folder):
        if folder.is_dir():
            return
        try:
            _unpack_all(archives, part, state, workers, show)
        except BadArchive:
            _discard(part, state)
            raise
        with explain_write_errors(folder):
            part.rename(folder)
            state.unlink(missing_ok=True)


def _discard(part: Path, state: Path) -> None:
    state.unlink(missing_ok=True)  # first: it lists finished archives
    shutil.rmtree(part, ignore_errors=True)


def _unpack_all(
    paths: Sequence[Path], part: Path, state: Path, workers: int, show: ProgressCallback
) -> None:
    """Unpack into `part`. The file `state` lists the archives, and the links of finished ones."""
    archives = [open_archive(path, workers) for path in paths]
    stamps = [
        {"path": str(one.path), "bytes": one.size, "changed_ns": one.path.stat().st_mtime_ns}
        for one in archives
    ]
    done = read_json(state)
    if done.get("archives") != stamps or not part.is_dir():
        _discard(part, state)
        done = {"archives": stamps, "links": [None] * len(archives)}
    with explain_write_errors(part):
        part.mkdir(parents=True, exist_ok=True)
        for path in list(part.rglob("*")):
            if path.is_symlink():  # of an earlier attempt; no file may be written through it
                path.unlink()
        write_json(state, done)
    needed = sum(archive.unpacked_bytes() for archive in archives)
    present = sum(path.lstat().st_size for path in part.rglob("*") if path.is_file())
    names = ", ".join(path.name for path in paths)
    require_free_space(part, needed - present, f"the content of {names}")
    before, total = 0, sum(archive.size for archive in archives)

    def advance(before: int, size: int) -> None:
        show(before + size, total)

    for number, archive in enumerate(archives):
        if done["links"][number] is None:
            done["links"][number] = archive.unpack(part, partial(advance, before))
            with explain_write_errors(state):
                write_json(state, done)
        before += archive.size
        advance(before, 0)
    for archive, links in zip(archives, done["links"], strict=True):
        archive.make_links(part, links)

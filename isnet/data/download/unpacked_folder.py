"""Unpacks untrusted archives into one folder, which appears only when all archives are unpacked."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from isnet.data.download.safe_extraction import Archive, BadArchive, Links, open_archive
from isnet.io.atomic_files import read_json, write_json
from isnet.io.console import ProgressCallback
from isnet.io.disk_space import explain_write_errors, require_free_space
from isnet.io.wait_lock import exclusive


def unpack(archives: Sequence[Path], folder: Path, *, workers: int, show: ProgressCallback) -> None:
    """Unpack zip and tar archives into one folder, unless the folder exists already.

    Files are written to the folder `NAME.part`, which is renamed at the end. After an interruption,
    the same call continues with this folder, unless the archives have changed. A second process
    waits for the first.

    Args:
        archives: zip and tar archives, which are unpacked in this order. A later archive may
            overwrite files of an earlier one.
        folder: the target folder.
        workers: number of threads that unpack a zip.
        show: called with the number of bytes of the archives that are done and the total number.

    Raises:
        BadArchive: a file is no archive, is damaged or a decompression bomb, or contains a path or
            link to outside the folder. All that was unpacked is removed.
        UserError: the disk is full.
    """
    with exclusive(folder):
        if folder.is_dir():
            return
        attempt = _PartialFolder(archives, folder)
        try:
            attempt.unpack([open_archive(path, workers) for path in archives], show)
        except BadArchive:
            attempt.discard()
            raise
        attempt.publish()


class _PartialFolder:
    """A partly unpacked folder `NAME.part`, with its state in the file `NAME.part.json`.

    The state lists the archives, and the symbolic links of those that are finished.
    """

    def __init__(self, archives: Sequence[Path], folder: Path) -> None:
        self._folder = folder
        self._part = folder.with_name(f"{folder.name}.part")
        self._state = folder.with_name(f"{folder.name}.part.json")
        stats = [(path, path.stat()) for path in archives]
        self._archives = [
            {"path": str(path), "bytes": status.st_size, "changed_ns": status.st_mtime_ns}
            for path, status in stats
        ]
        self._links: list[Links | None] = [None] * len(archives)
        state = read_json(self._state)
        if state.get("archives") == self._archives and self._part.is_dir():
            self._links = state["links"]
        else:
            self.discard()
        with explain_write_errors(self._part):
            self._part.mkdir(parents=True, exist_ok=True)
            for path in list(self._part.rglob("*")):
                if path.is_symlink():  # of an earlier attempt; no file may be written through it
                    path.unlink()
        self._save_state()

    def _save_state(self) -> None:
        with explain_write_errors(self._state):
            write_json(self._state, {"archives": self._archives, "links": self._links})

    def unpack(self, archives: Sequence[Archive], show: ProgressCallback) -> None:
        """Unpack the archives that are not finished, then create the links of all archives."""
        self._check_disk(archives)
        sizes = [archive.path.stat().st_size for archive in archives]

        def advance(before: int, done: int) -> None:
            show(before + done, sum(sizes))

        for number, archive in enumerate(archives):
            before = sum(sizes[:number])
            if self._links[number] is None:
                self._links[number] = archive.unpack(self._part, partial(advance, before))
                self._save_state()
            advance(before, sizes[number])
        for archive, links in zip(archives, self._links, strict=True):
            archive.make_links(self._part, links or {})

    def _check_disk(self, archives: Sequence[Archive]) -> None:
        needed = sum(archive.unpacked_bytes() for archive in archives)
        present = sum(path.lstat().st_size for path in self._part.rglob("*") if path.is_file())
        names = ", ".join(archive.path.name for archive in archives)
        require_free_space(self._part, needed - present, f"the content of {names}")

    def discard(self) -> None:
        self._state.unlink(missing_ok=True)  # first: it lists finished archives
        shutil.rmtree(self._part, ignore_errors=True)

    def publish(self) -> None:
        with explain_write_errors(self._folder):
            self._part.rename(self._folder)
            self._state.unlink(missing_ok=True)

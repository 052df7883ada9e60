"""The files of a data set as they come out of its archives."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_label_pairs import SPLITS, find_pairs
from isnet.data.download import unpack
from isnet.data.download.dataset_root import archives_in, find_root
from isnet.data.download.local_archives import LocalArchive
from isnet.errors import UserError
from isnet.io.atomic_files import write_json
from isnet.io.console import show_progress

__all__ = ["RawFiles"]

_log = logging.getLogger(__name__)


class RawFiles:
    """`raw` in a data set's folder; beside it `inner`, what is in archives of archives, and
    `joined`, links to parts that lie apart, where there are such.
    """

    def __init__(self, folder: Path, description: DatasetDescription, workers: int) -> None:
        self._raw, self._inner = folder / "raw", folder / "inner"
        self._joined = folder / "joined"
        self._made_of = folder / "archives.json"
        self._description = description
        self._workers = workers

    def unpack(self, archives: Sequence[LocalArchive]) -> Path:
        """Unpack archives, unless it was done before, and return the folder with the data set.

        What an interrupted call has unpacked is kept.

        Raises:
            BadArchive: an archive is damaged, or hostile.
            UserError: they hold something else, or the disk is full.
        """
        made_of = [archive.provenance for archive in archives]
        if not (self._is_made_of(made_of) and self._is_usable()):
            for folder in (self._raw, self._inner, self._joined):
                shutil.rmtree(folder, ignore_errors=True)
        write_json(self._made_of, made_of)
        self._unpack([archive.path for archive in archives], self._raw)
        try:
            return self._root()
        except UserError:
            if not (packed := archives_in(self._raw)):
                raise
        self._unpack(packed, self._inner)
        for path in packed:
            path.unlink()
        return self._root()

    def _unpack(self, archives: Sequence[Path], folder: Path) -> None:
        names = ", ".join(path.name for path in archives)
        if not folder.is_dir():
            _log.info(f"unpacks {names} into {folder}")
        with show_progress("bytes") as show:
            unpack(archives, folder, workers=self._workers, show=show)

    def _root(self) -> Path:
        folders = [folder for folder in (self._raw, self._inner) if folder.is_dir()]
        return find_root(self._description, folders, self._joined)

    def _is_made_of(self, archives: list[dict[str, object]]) -> bool:
        made_of = self._made_of
        return made_of.is_file() and json.loads(made_of.read_text()) == archives

    def _is_usable(self) -> bool:
        """Whether `raw` is whole; while there are archives in it, more is to come."""
        if not self._raw.is_dir():
            return False
        try:
            root = self._root()
            return all(find_pairs(self._description, root, split) for split in SPLITS)
        except UserError:
            return bool(archives_in(self._raw))

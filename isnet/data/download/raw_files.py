"""Unpacked files of a data set, also from archives that contain archives."""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_label_pairs import SPLITS, find_pairs
from isnet.data.download import unpack
from isnet.data.download.dataset_root import archives_in, find_root
from isnet.data.download.local_archives import LocalArchive
from isnet.errors import UserError
from isnet.io.atomic_files import write_json
from isnet.io.console import show_progress

_log = logging.getLogger(__name__)


class RawFiles:
    """Folders of unpacked files in the folder of a data set.

    `raw` has the content of the archives, `inner` that of archives in them, and `joined` links to
    parts of the data set that are in separate folders.
    """

    def __init__(self, folder: Path, description: DatasetDescription, workers: int) -> None:
        self._raw, self._inner, self._joined = folder / "raw", folder / "inner", folder / "joined"
        self._provenance = folder / "archives.json"
        self._description = description
        self._workers = workers

    def unpack(self, archives: Sequence[LocalArchive]) -> Path:
        """Unpack archives unless that was done before; return the folder with the data set.

        Files that an interrupted call unpacked are kept.

        Raises:
            BadArchive: an archive is damaged or hostile.
            UserError: the archives do not contain the data set, or the disk is full.
        """
        provenance = [archive.provenance for archive in archives]
        if not self._is_usable(provenance):
            for folder in (self._raw, self._inner, self._joined):
                shutil.rmtree(folder, ignore_errors=True)
        write_json(self._provenance, provenance)
        self._unpack([archive.path for archive in archives], self._raw)
        try:
            return self._root()
        except UserError:
            if not (inner := archives_in(self._raw)):
                raise
        self._unpack(inner, self._inner)
        for path in inner:
            path.unlink()
        return self._root()

    def _unpack(self, archives: Sequence[Path], folder: Path) -> None:
        if not folder.is_dir():
            _log.info(f"unpacks {', '.join(path.name for path in archives)} into {folder}")
        with show_progress("bytes") as show:
            unpack(archives, folder, workers=self._workers, show=show)

    def _root(self) -> Path:
        folders = [folder for folder in (self._raw, self._inner) if folder.is_dir()]
        return find_root(self._description, folders, self._joined)

    def _is_usable(self, provenance: list[dict[str, Any]]) -> bool:
        """Return whether `raw` has all files of these archives, or archives still to unpack."""
        if not (self._provenance.is_file() and self._raw.is_dir()):
            return False
        if json.loads(self._provenance.read_text()) != provenance:
            return False
        try:
            root = self._root()
            return all(find_pairs(self._description, root, split) for split in SPLITS)
        except UserError:
            return bool(archives_in(self._raw))

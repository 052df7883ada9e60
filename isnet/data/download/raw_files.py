"""Unpacked files of a data set, also from archives that contain archives.

In the folder of a data set, `raw` has the content of the archives, `inner` that of archives in
them, and `joined` links to parts of the data set that are in separate folders.
"""

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


def unpack_dataset(
    archives: Sequence[LocalArchive], folder: Path, description: DatasetDescription, workers: int
) -> Path:
    """Unpack archives unless that was done before; return the folder with the data set.

    Files that an interrupted call unpacked are kept.

    Raises:
        BadArchive: an archive is damaged or hostile.
        UserError: the archives do not contain the data set, or the disk is full.
    """
    raw, inner = folder / "raw", folder / "inner"
    records = [archive.record.as_json() for archive in archives]
    if not _is_usable(folder, records, description):
        for name in ("raw", "inner", "joined"):
            shutil.rmtree(folder / name, ignore_errors=True)
    write_json(folder / "archives.json", records)
    _unpack([archive.path for archive in archives], raw, workers)
    try:
        return _find_root(folder, description)
    except UserError:
        if not (inner_archives := archives_in(raw)):
            raise
    _unpack(inner_archives, inner, workers)
    for path in inner_archives:
        path.unlink()
    return _find_root(folder, description)


def _unpack(archives: Sequence[Path], folder: Path, workers: int) -> None:
    if not folder.is_dir():
        _log.info(f"unpacks {', '.join(path.name for path in archives)} into {folder}")
    with show_progress("bytes") as show:
        unpack(archives, folder, workers=workers, show=show)


def _find_root(folder: Path, description: DatasetDescription) -> Path:
    folders = [path for path in (folder / "raw", folder / "inner") if path.is_dir()]
    return find_root(description, folders, folder / "joined")


def _is_usable(
    folder: Path, records: list[dict[str, Any]], description: DatasetDescription
) -> bool:
    """Return whether `raw` has all files of these archives, or archives still to unpack."""
    made_from = folder / "archives.json"
    if not (made_from.is_file() and (folder / "raw").is_dir()):
        return False
    if json.loads(made_from.read_text()) != records:
        return False
    try:
        root = _find_root(folder, description)
        return all(find_pairs(description, root, split) for split in SPLITS)
    except UserError:
        return bool(archives_in(folder / "raw"))

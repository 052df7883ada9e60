"""The `download` stage: bring a data set under the data root, or find it where it lies."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isnet.data.catalog import DatasetDescription, PublishedDescription
from isnet.data.catalog.image_label_pairs import SPLITS, find_pairs
from isnet.data.download import HashLockFile
from isnet.data.download.archive_base import BadArchive
from isnet.data.download.archive_sources import local_path, read_sources
from isnet.data.download.dataset_root import find_root
from isnet.data.download.local_archives import LocalArchive, gather
from isnet.data.download.raw_files import RawFiles
from isnet.errors import UserError
from isnet.io.atomic_files import write_json
from isnet.io.console import format_bytes, show_progress
from isnet.settings.dataset_lookup import description_of
from isnet.settings.layout import home_of
from isnet.settings.params import Dataset, StreetsDataset

__all__ = ["download_dataset"]

_log = logging.getLogger(__name__)


def download_dataset(
    name: str, dataset: Dataset, key: str, *, data: Path, workers: int
) -> dict[str, Any]:
    """Make the raw files of a data set available and describe them (`source.json`).

    Archives are fetched into `<data>/downloads` and unpacked in `<data>/<name>/<key>`; a folder is
    used where it lies. What is there already is not made again.

    Args:
        name: the data set's name in params.yaml.
        dataset: its settings.
        key: hash of them.
        data: the data root.
        workers: number of processes.

    Returns:
        dataset, kind, key; root, relative to the data root or absolute; images, their number in
        each split; archives, each with name, url (null for a file of this machine), bytes, hashes.

    Raises:
        UserError: a source is missing, damaged or holds something else.
    """
    finished = data / name / key / "source.json"
    description = description_of(dataset)
    source = _earlier(finished, dataset, description, data)
    if source is None:
        place = _Place(name, finished.parent, data, description, workers)
        root, archives = place.make(dataset)
        source = {
            "dataset": name,
            "kind": dataset.kind,
            "key": key,
            "root": str(root.relative_to(data)) if root.is_relative_to(data) else str(root),
            "images": {split: len(find_pairs(description, root, split)) for split in SPLITS},
            "archives": [archive.provenance for archive in archives],
        }
        write_json(finished, source)
        _tell_disk_space(archives, data / "downloads")
    if not isinstance(dataset, StreetsDataset):
        _compare(source["images"], description)
    return source


def _earlier(
    finished: Path, dataset: Dataset, description: DatasetDescription, data: Path
) -> dict[str, Any] | None:
    """Return what an earlier call has made, if that is still there and is what one would make."""
    if not finished.is_file():
        return None
    source: dict[str, Any] = json.loads(finished.read_text())
    if not isinstance(dataset, StreetsDataset):
        made = finished.stat().st_mtime
        paths = [local_path(each, _home()) for each in dataset.source if isinstance(each, str)]
        if any(path.is_file() and path.stat().st_mtime > made for path in paths):
            return None  # an archive was replaced by another
    try:
        for split, count in source["images"].items():
            if len(find_pairs(description, data / source["root"], split)) != count:
                return None
    except UserError:
        return None
    return source


def _home() -> Path:
    return home_of(Path.cwd())


class _Place:
    """The folder of a data set under the data root."""

    def __init__(
        self, name: str, folder: Path, data: Path, description: DatasetDescription, workers: int
    ) -> None:
        self._name = name
        self._folder = folder
        self._downloads = data / "downloads"
        self._description = description
        self._workers = workers

    def make(self, dataset: Dataset) -> tuple[Path, list[LocalArchive]]:
        """Return the folder with the data set, and the archives that it comes from."""
        if isinstance(dataset, StreetsDataset):
            return self._generate(dataset), []
        where = f"params.yaml: datasets.{self._name}.source"
        sources = read_sources(dataset.source, self._description, home=_home(), where=where)
        first = sources[0]
        if isinstance(first, Path) and first.is_dir():
            return find_root(self._description, [first], self._folder / "joined"), []
        archives = gather(
            sources, self._description, service=dataset.kind, downloads=self._downloads
        )
        return self._unpack(archives), archives

    def _generate(self, dataset: StreetsDataset) -> Path:
        from isnet.data.streets import StreetsSettings, generate_streets

        raw = self._folder / "raw"
        settings = StreetsSettings(**dataset.settings.model_dump())
        with show_progress("images") as show:
            generate_streets(raw, settings, workers=self._workers, on_progress=show)
        return raw

    def _unpack(self, archives: Sequence[LocalArchive]) -> Path:
        raw = RawFiles(self._folder, self._description, self._workers)
        try:
            return raw.unpack(archives)
        except BadArchive as error:
            if not any(archive.url for archive in archives):
                raise
            hash_lock = HashLockFile(self._downloads).path
            hint = (
                f"To fetch an archive anew, delete it, and its entry in {hash_lock} if it has one"
            )
            raise BadArchive(f"{error}. {hint}") from None


def _tell_disk_space(archives: Sequence[LocalArchive], downloads: Path) -> None:
    sizes = [archive.path.stat().st_size for archive in archives if archive.url]
    if sizes:
        _log.info(
            f"the archives take {format_bytes(sum(sizes))} in {downloads}; "
            "this data set does not need "
            "them any more, and they may be deleted"
        )


def _compare(images: dict[str, int], description: DatasetDescription) -> None:
    """Say where a data set of the catalogue is not the published one."""
    if not isinstance(description, PublishedDescription):
        return
    for split, count in images.items():
        published = description.splits[split].images  # type: ignore[index]
        if published is not None and count != published:
            _log.info(
                f"has {count:,} {split} images, {published:,} are published: scores will not be "
                "comparable"
            )

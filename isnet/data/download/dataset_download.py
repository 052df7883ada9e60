"""Provides the raw files of a data set: downloads and unpacks them, or uses the user's folder."""

import logging
from pathlib import Path

from isnet.data.catalog import DatasetDescription, PublishedDescription
from isnet.data.catalog.image_label_pairs import SPLITS, find_pairs
from isnet.data.download import HashLockFile
from isnet.data.download.archive_sources import local_path, read_sources
from isnet.data.download.dataset_root import find_root
from isnet.data.download.raw_files import LocalArchive, fetch_archives, unpack_dataset
from isnet.data.download.safe_extraction import BadArchive
from isnet.errors import UserError
from isnet.io.console import format_bytes, show_progress
from isnet.records.dataset_records import SourceRecord
from isnet.settings.dataset_lookup import description_of
from isnet.settings.layout import home_of
from isnet.settings.params import Dataset, StreetsDataset

_log = logging.getLogger(__name__)


def download_dataset(
    name: str, dataset: Dataset, key: str, *, data: Path, workers: int
) -> SourceRecord:
    """Provide the raw files of a data set; write and return the record `source.json`.

    Archives are downloaded to `<data>/downloads` and unpacked in `<data>/<name>/<key>`. A folder of
    the user is used without copying. Work that an earlier call has done is not repeated.

    Raises:
        UserError: a source is missing, damaged, or does not contain the data set.
    """
    finished = data / name / key / "source.json"
    description = description_of(dataset)
    source = _read_finished(finished, dataset, description, data)
    if source is None:
        root, archives = _provide(name, dataset, description, finished.parent, data, workers)
        source = SourceRecord(
            dataset=name,
            kind=dataset.kind,
            key=key,
            root=str(root.relative_to(data) if root.is_relative_to(data) else root),
            images=_count_images(description, root),
            archives=[archive.record for archive in archives],
        )
        source.write(finished)
        if sizes := [archive.bytes for archive in source.archives if archive.url]:
            what = f"the archives take {format_bytes(sum(sizes))} in {data / 'downloads'}"
            _log.info(f"{what}; this data set does not need them any more, and they may be deleted")
    if isinstance(description, PublishedDescription) and not isinstance(dataset, StreetsDataset):
        for split, count in source.images.items():
            published = description.splits[split].images  # type: ignore[index]
            if published is not None and count != published:
                what = f"has {count:,} {split} images, {published:,} are published"
                _log.info(f"{what}: scores will not be comparable")
    return source


def _read_finished(
    finished: Path, dataset: Dataset, description: DatasetDescription, data: Path
) -> SourceRecord | None:
    """Return the `source.json` of an earlier call, unless the files have changed since."""
    if not finished.is_file():
        return None
    source = SourceRecord.read(finished)
    if not isinstance(dataset, StreetsDataset):
        made = finished.stat().st_mtime
        paths = [local_path(each, _home()) for each in dataset.source if isinstance(each, str)]
        if any(path.is_file() and path.stat().st_mtime > made for path in paths):
            return None
    try:
        is_whole = _count_images(description, data / source.root) == source.images
    except UserError:
        return None
    return source if is_whole else None


def _count_images(description: DatasetDescription, root: Path) -> dict[str, int]:
    return {split: len(find_pairs(description, root, split)) for split in SPLITS}


def _home() -> Path:
    return home_of(Path.cwd())


def _provide(
    name: str,
    dataset: Dataset,
    description: DatasetDescription,
    folder: Path,
    data: Path,
    workers: int,
) -> tuple[Path, list[LocalArchive]]:
    """Download, unpack or generate the data set if needed; return its folder, and its archives."""
    if isinstance(dataset, StreetsDataset):
        from isnet.data.streets import generate_streets

        with show_progress("images") as show:
            generate_streets(folder / "raw", dataset.settings, workers=workers, on_progress=show)
        return folder / "raw", []
    where = f"params.yaml: datasets.{name}.source"
    downloads = data / "downloads"
    places = {"home": _home(), "downloads": downloads}
    sources = read_sources(dataset.source, description, **places, where=where)
    first = sources[0]
    if isinstance(first, Path) and first.is_dir():
        return find_root(description, [first], folder / "joined"), []
    archives = fetch_archives(sources, description, service=dataset.kind, downloads=downloads)
    try:
        return unpack_dataset(archives, folder, description, workers), archives
    except BadArchive as error:
        if not any(archive.record.url for archive in archives):
            raise
        entry = f"its entry in {HashLockFile(downloads).path} if it has one"
        hint = f"To download an archive again, delete it, and {entry}"
        raise BadArchive(f"{error}. {hint}") from None

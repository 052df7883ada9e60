"""Provides the raw files of a data set: downloads and unpacks them, or uses the user's folder.

In the folder of a data set, `raw` has the content of the archives, `inner` the content of archives
inside these, and `joined` links to the parts of the data set, if they are in separate folders.
"""

import contextlib
import functools
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isnet.data.catalog import DatasetDescription, PublishedDescription
from isnet.data.catalog.image_label_pairs import SPLITS, find_pairs
from isnet.data.download import HashLockFile, RemoteFile, fetch, unpack
from isnet.data.download.archive_sources import Source, local_path, read_sources
from isnet.data.download.credentials import redact_url
from isnet.data.download.dataset_root import archives_in, find_root
from isnet.data.download.login import LoginSession
from isnet.data.download.safe_extraction import BadArchive
from isnet.errors import UserError
from isnet.io.atomic_files import read_json, sha256_of, write_json
from isnet.io.console import format_bytes, show_progress
from isnet.records.dataset_records import ArchiveRecord, SourceRecord
from isnet.settings.dataset_lookup import description_of
from isnet.settings.layout import home_of
from isnet.settings.params import Dataset, StreetsDataset

_log = logging.getLogger(__name__)


class _LocalArchive(NamedTuple):
    path: Path
    record: ArchiveRecord

    @classmethod
    def of(cls, path: Path, url: str | None, hashes: dict[str, str]) -> "_LocalArchive":
        """Create the record of the archive at `path`; compute its SHA-256 if no hash is given."""
        hashes = hashes or {"sha256": sha256_of(path)}
        size = path.stat().st_size
        return cls(path, ArchiveRecord(name=path.name, url=url, bytes=size, hashes=hashes))


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
    """Return the `source.json` of an earlier call.

    Returns None if there is none, or if the files or archives that it describes have changed.
    """
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
) -> tuple[Path, list[_LocalArchive]]:
    """Download, unpack or generate the data set if needed; return its folder and archives."""
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
    archives = _fetch_archives(sources, description, service=dataset.kind, downloads=downloads)
    try:
        return _unpack_dataset(archives, folder, description, workers), archives
    except BadArchive as error:
        if not any(archive.record.url for archive in archives):
            raise
        entry = f"its entry in {HashLockFile(downloads).path} if it has one"
        hint = f"To download an archive again, delete it, and {entry}"
        raise BadArchive(f"{error}. {hint}") from None


def _fetch_archives(
    sources: Sequence[Source], description: DatasetDescription, *, service: str, downloads: Path
) -> list[_LocalArchive]:
    """Download the archives that are missing, by an account of `service`, and verify the others."""
    if any(isinstance(source, RemoteFile) and not source.path.is_file() for source in sources):
        if isinstance(description, PublishedDescription):
            licence = f"licence: {description.licence}"
            _log.info(f"{description.title}, {description.homepage}; {licence}")
        _log.info(f"downloads go to {downloads}")
    with contextlib.ExitStack() as sessions:

        @functools.cache
        def session(login: str) -> LoginSession:
            return sessions.enter_context(LoginSession(login, service))

        return [_fetch(source, session) for source in sources]


def _fetch(file: Source, session: Callable[[str], LoginSession]) -> _LocalArchive:
    if isinstance(file, Path):
        _log.info(f"reads {file}")
        return _LocalArchive.of(file, None, {})
    if file.path.is_file():
        _log.info(f"{'verifies' if file.expected.digests else 'found'} {file.path}")
    if file.login:
        session(file.login).fetch(file, functools.partial(show_progress, "bytes"))
    else:
        with show_progress("bytes") as show:
            fetch(file, show=show)
    return _LocalArchive.of(file.path, redact_url(file.url), file.expected.digests)


def _unpack_dataset(
    archives: Sequence[_LocalArchive], folder: Path, description: DatasetDescription, workers: int
) -> Path:
    """Unpack archives, or keep what an earlier call has unpacked; return the data set's folder."""
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
    """Return whether the unpacked files in `folder` can be used again.

    They must come from the same archives, and contain the data set or archives still to unpack.
    """
    unpacked: Any = read_json(folder / "archives.json")
    if not (folder / "raw").is_dir() or unpacked != records:
        return False
    try:
        root = _find_root(folder, description)
        return all(find_pairs(description, root, split) for split in SPLITS)
    except UserError:
        return bool(archives_in(folder / "raw"))

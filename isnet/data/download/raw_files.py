"""Downloads or verifies the archives of a data set and unpacks them, including nested archives.

In the folder of a data set, `raw` has the content of the archives, `inner` that of archives that
were in `raw`, and `joined` links to the parts of the data set, if they are in separate folders.
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
from isnet.data.download import RemoteFile, fetch, unpack
from isnet.data.download.archive_sources import Source
from isnet.data.download.credentials import redact_url
from isnet.data.download.dataset_root import archives_in, find_root
from isnet.data.download.login import LoginSession
from isnet.errors import UserError
from isnet.io.atomic_files import read_json, sha256_of, write_json
from isnet.io.console import show_progress
from isnet.records.dataset_records import ArchiveRecord

_log = logging.getLogger(__name__)


class LocalArchive(NamedTuple):
    """A complete archive on this machine, with the record of its size and hashes."""

    path: Path
    record: ArchiveRecord

    @classmethod
    def of(cls, path: Path, url: str | None, hashes: dict[str, str]) -> "LocalArchive":
        """Create the record of the archive at `path`; compute its SHA-256 if no hash is given."""
        hashes = hashes or {"sha256": sha256_of(path)}
        size = path.stat().st_size
        return cls(path, ArchiveRecord(name=path.name, url=url, bytes=size, hashes=hashes))


def fetch_archives(
    sources: Sequence[Source], description: DatasetDescription, *, service: str, downloads: Path
) -> list[LocalArchive]:
    """Download the archives that are missing, and verify the others.

    `service` is the name of the account's service, if a log-in is needed (see `LoginSession`).

    Raises:
        UserError: a download fails, or the content of an archive is wrong.
    """
    if any(isinstance(source, RemoteFile) and not source.path.is_file() for source in sources):
        if isinstance(description, PublishedDescription):
            licence = f"licence: {description.licence}"
            _log.info(f"{description.title}, {description.homepage}; {licence}")
        _log.info(f"downloads go to {downloads}")
    with contextlib.ExitStack() as sessions:

        @functools.cache
        def session(login: str) -> LoginSession:
            return sessions.enter_context(LoginSession(login, service))

        return [_provide(source, session) for source in sources]


def _provide(file: Source, session: Callable[[str], LoginSession]) -> LocalArchive:
    if isinstance(file, Path):
        _log.info(f"reads {file}")
        return LocalArchive.of(file, None, {})
    if file.path.is_file():
        _log.info(f"{'verifies' if file.expected.digests else 'found'} {file.path}")
    if file.login:
        session(file.login).fetch(file, functools.partial(show_progress, "bytes"))
    else:
        with show_progress("bytes") as show:
            fetch(file, show=show)
    return LocalArchive.of(file.path, redact_url(file.url), file.expected.digests)


def unpack_dataset(
    archives: Sequence[LocalArchive], folder: Path, description: DatasetDescription, workers: int
) -> Path:
    """Unpack archives, or keep what an earlier call has unpacked; return the data set's folder.

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
    """Return whether unpacked files come from these archives, and are the data set or archives."""
    if not (folder / "raw").is_dir() or read_json(folder / "archives.json") != records:
        return False
    try:
        root = _find_root(folder, description)
        return all(find_pairs(description, root, split) for split in SPLITS)
    except UserError:
        return bool(archives_in(folder / "raw"))

"""Archives of a data set on this machine: downloads those that are missing, verifies the others."""

import contextlib
import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from isnet.data.catalog import DatasetDescription, PublishedDescription
from isnet.data.download import RemoteFile, fetch
from isnet.data.download.archive_sources import Source
from isnet.data.download.credentials import redact_url
from isnet.data.download.login import LoginSession
from isnet.io.atomic_files import sha256_of
from isnet.io.console import show_progress
from isnet.records.dataset_records import ArchiveRecord

_log = logging.getLogger(__name__)


class LocalArchive(NamedTuple):
    """A complete archive on this machine."""

    path: Path
    record: ArchiveRecord

    @classmethod
    def of(cls, path: Path, url: str | None, hashes: dict[str, str]) -> "LocalArchive":
        """Describe the file at `path`; hash it if no hash is known."""
        hashes = hashes or {"sha256": sha256_of(path)}
        size = path.stat().st_size
        return cls(path, ArchiveRecord(name=path.name, url=url, bytes=size, hashes=hashes))


def fetch_archives(
    sources: Sequence[Source], description: DatasetDescription, *, service: str, downloads: Path
) -> list[LocalArchive]:
    """Download the archives that are missing, and verify the others.

    `service` names the account, if a log-in is needed; `downloads` is for a message.

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

        return [
            _fetch(source, session) if isinstance(source, RemoteFile) else _read(source)
            for source in sources
        ]


def _read(path: Path) -> LocalArchive:
    _log.info(f"reads {path}")
    return LocalArchive.of(path, None, {})


def _fetch(file: RemoteFile, session: Callable[[str], LoginSession]) -> LocalArchive:
    if file.path.is_file():
        _log.info(f"{'verifies' if file.expected.digests else 'found'} {file.path}")
    if file.login:
        session(file.login).fetch(file, functools.partial(show_progress, "bytes"))
    else:
        with show_progress("bytes") as show:
            fetch(file, show=show)
    return LocalArchive.of(file.path, redact_url(file.url), file.expected.digests)

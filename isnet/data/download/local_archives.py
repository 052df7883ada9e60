"""Archives of a data set on this machine: downloads those that are missing, verifies the others."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isnet.data.catalog import DatasetDescription, PublishedDescription
from isnet.data.download import HashLockFile, RemoteFile, fetch
from isnet.data.download.archive_sources import RemoteArchive, Source
from isnet.data.download.credentials import redact_url
from isnet.data.download.login import LoginSession
from isnet.io.atomic_files import sha256_of
from isnet.io.console import show_progress

__all__ = ["LocalArchive", "fetch_archives"]

_log = logging.getLogger(__name__)

_show_bytes = functools.partial(show_progress, "bytes")


@dataclass(frozen=True)
class LocalArchive:
    """A complete archive on this machine."""

    path: Path
    url: str | None
    """Where it was downloaded, without credentials; None for a file of the user."""
    hashes: dict[str, str]

    @property
    def provenance(self) -> dict[str, Any]:
        """Entry of the archive in `source.json`."""
        size = self.path.stat().st_size
        return {"name": self.path.name, "url": self.url, "bytes": size, "hashes": self.hashes}


def fetch_archives(
    sources: Sequence[Source], description: DatasetDescription, *, service: str, downloads: Path
) -> list[LocalArchive]:
    """Download the archives that are missing, and verify the others.

    Args:
        sources: archives on this machine and on servers.
        description: of the data set.
        service: name of the account, if a log-in is needed.
        downloads: folder of downloads, shared by all data sets.

    Raises:
        UserError: a download fails, or the content of an archive is wrong.
    """
    remote = [source for source in sources if isinstance(source, RemoteArchive)]
    if any(not (downloads / source.relative_path).is_file() for source in remote):
        if isinstance(description, PublishedDescription):
            licence = f"licence: {description.licence}"
            _log.info(f"{description.title}, {description.homepage}; {licence}")
        _log.info(f"downloads go to {downloads}")
    with contextlib.ExitStack() as sessions:

        @functools.cache
        def session(login: str) -> LoginSession:
            return sessions.enter_context(LoginSession(login, service))

        return [
            _read(source)
            if isinstance(source, Path)
            else _fetch(source, downloads, description, session)
            for source in sources
        ]


def _read(path: Path) -> LocalArchive:
    _log.info(f"reads {path}")
    return LocalArchive(path, None, {"sha256": sha256_of(path)})


def _fetch(
    source: RemoteArchive,
    downloads: Path,
    description: DatasetDescription,
    session: Callable[[str], LoginSession],
) -> LocalArchive:
    path = downloads / source.relative_path
    hint = _manual_hint(description, path)
    file = RemoteFile(source.url, path, HashLockFile(downloads), hint, source.expected)
    if path.is_file():
        _log.info(f"{'verifies' if file.expected.digests else 'has'} {path}")
    if source.login:
        session(source.login).fetch(file, _show_bytes)
    else:
        with _show_bytes() as show:
            fetch(file, show=show)
    hashes = file.expected.digests or {"sha256": sha256_of(path)}
    return LocalArchive(path, redact_url(source.url), hashes)


def _manual_hint(description: DatasetDescription, path: Path) -> str:
    """Return how to get an archive that cannot be downloaded."""
    if not isinstance(description, PublishedDescription):
        return f"Correct the address, or put the file at {path} yourself"
    other = "Or give another address, or a file, as `source`"
    if description.by_hand:
        other = f"Or get {description.by_hand} with a browser and give both as `source`"
    return f"Get it with a browser ({description.homepage}) and put it there: {path}. {other}"

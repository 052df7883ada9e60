"""Archives of a data set, fetched or found, and verified."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from isnet.data.catalog import DatasetDescription, PublishedDescription
from isnet.data.download import HashLockFile, RemoteFile, fetch
from isnet.data.download.archive_sources import RemoteArchive, Source
from isnet.data.download.login import LoginSession
from isnet.data.download.url_text import shown
from isnet.io.atomic_files import sha256_of
from isnet.io.console import show_progress

__all__ = ["LocalArchive", "gather"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocalArchive:
    """An archive that is on this machine, whole."""

    path: Path
    url: str | None
    """Where it was fetched, as people may see it."""
    hashes: dict[str, str]

    @property
    def provenance(self) -> dict[str, Any]:
        """What `source.json` says of it."""
        size = self.path.stat().st_size
        return {"name": self.path.name, "url": self.url, "bytes": size, "hashes": self.hashes}


def gather(
    sources: Sequence[Source], description: DatasetDescription, *, service: str, downloads: Path
) -> list[LocalArchive]:
    """Fetch what is not there yet, and verify what is.

    Args:
        sources: archives of this machine and of servers.
        description: of the data set.
        service: whose account is meant, where one is needed.
        downloads: the folder of downloads, shared by all data sets.

    Raises:
        UserError: an archive could not be had, or is another one.
    """
    missing = [
        source
        for source in sources
        if isinstance(source, RemoteArchive) and not (downloads / source.place).is_file()
    ]
    if missing:
        if isinstance(description, PublishedDescription):
            terms = f"licence: {description.licence}"
            _log.info(f"{description.title}, {description.homepage}; {terms}")
        _log.info(f"downloads go to {downloads}")
    gathering = _Gathering(description, service, downloads)
    with gathering.accounts_closed:
        return [gathering.archive(source) for source in sources]


class _Gathering:
    """What fetching and verifying several archives share."""

    def __init__(self, description: DatasetDescription, service: str, downloads: Path) -> None:
        self._description = description
        self._service = service
        self._downloads = downloads
        self._ledger = HashLockFile(downloads)
        self._accounts: dict[str, LoginSession] = {}
        self.accounts_closed = contextlib.ExitStack()

    def archive(self, source: Source) -> LocalArchive:
        if isinstance(source, Path):
            _log.info(f"reads {source}")
            return LocalArchive(source, None, {"sha256": sha256_of(source)})
        path = self._downloads / source.place
        hint = _hint(self._description, path)
        file = RemoteFile(source.url, path, self._ledger, hint, source.identity)
        if path.is_file():
            is_known = bool(file.identity.digests)
            _log.info(f"{'verifies' if is_known else 'has'} {path}")
        if source.login:
            self._account(source.login).fetch(file, partial(show_progress, "bytes"))
        else:
            with show_progress("bytes") as show:
                fetch(file, show=show)
        hashes = file.identity.digests or {"sha256": sha256_of(path)}
        return LocalArchive(path, shown(source.url), hashes)

    def _account(self, login: str) -> LoginSession:
        if login not in self._accounts:
            account = LoginSession(login, self._service)
            self._accounts[login] = self.accounts_closed.enter_context(account)
        return self._accounts[login]


def _hint(description: DatasetDescription, path: Path) -> str:
    if not isinstance(description, PublishedDescription):
        return f"Correct the address, or put the file at {path} yourself"
    other = "Or give another address, or a file, as `source`"
    if description.by_hand:
        other = f"Or get {description.by_hand} with a browser and give both as `source`"
    return f"Get it with a browser ({description.homepage}) and put it there: {path}. {other}"

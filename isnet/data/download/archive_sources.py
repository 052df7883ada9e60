"""What `source` of a data set in params.yaml means: files of this machine and files of servers."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from isnet.data.catalog import DatasetDescription, PublishedArchive, PublishedDescription
from isnet.data.download import ExpectedFile
from isnet.data.download.url_text import LOOPBACK, shown
from isnet.errors import UserError
from isnet.settings.params import RemoteSource

__all__ = ["RemoteArchive", "Source", "local_path", "read_sources"]


@dataclass(frozen=True)
class RemoteArchive:
    """An archive on a server."""

    url: str
    place: str
    """Its path below the folder of downloads."""
    identity: ExpectedFile
    login: str | None = None
    """Address of the log-in form, where an account is needed."""


Source = Path | RemoteArchive
"""A folder or archive of this machine, or an archive of a server."""


def read_sources(
    sources: Sequence[str | RemoteSource],
    description: DatasetDescription,
    *,
    home: Path,
    where: str,
) -> list[Source]:
    """Tell addresses from paths, and published archives from others.

    Args:
        sources: as in params.yaml; none means those of the catalogue.
        description: of the data set.
        home: relative paths start there.
        where: the key in params.yaml, for messages.

    Raises:
        UserError: nothing is there, a folder is not alone, or an address is none that http has.
    """
    if not sources and isinstance(description, PublishedDescription):
        sources = [archive.url for archive in description.archives]
    found: list[Source] = []
    for source in sources:
        if isinstance(source, RemoteSource):
            found.append(_remote(source, description, where))
        elif re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
            found.append(_remote(RemoteSource(url=source), description, where))
        else:
            found.append(_local(source, home, description, where))
    folders = [source for source in found if isinstance(source, Path) and source.is_dir()]
    if folders and len(found) > 1:
        raise UserError(
            f"{folders[0]} is a folder, and there are {len(found)} entries",
            where=where,
            hint="Give one folder that holds all, or archives and addresses alone",
        )
    return found


def local_path(text: str, home: Path) -> Path:
    """Return the path that a source means: `~` is a home, what is relative starts at `home`."""
    try:
        return home / Path(text).expanduser()
    except RuntimeError:  # nobody's home
        return home / text


def _local(text: str, home: Path, description: DatasetDescription, where: str) -> Path:
    path = local_path(text, home)
    if os.access(path, os.R_OK):
        return path
    hint = "Give a folder, archives, or addresses (http, https) of archives"
    if isinstance(description, PublishedDescription):
        hint += f"; without `source`, {description.title} is fetched from where it is published"
    what = f"{path} cannot be read" if path.exists() else f"there is no {path}"
    raise UserError(what, where=where, hint=hint)


def _remote(source: RemoteSource, description: DatasetDescription, where: str) -> RemoteArchive:
    address = _address(source.url, where)
    given = _given_identity(source, where)
    archive = _catalogued(address, description)
    login = _login(address, archive, description)
    if archive and not given.digests:
        return RemoteArchive(source.url, archive.name, _identity(archive), login)
    # Addresses that end alike are not the same file.
    digest = hashlib.sha256(source.url.encode()).hexdigest()[:8]
    place = f"{address.hostname}-{digest}/{archive.name if archive else _name(address)}"
    return RemoteArchive(source.url, place, given, login)


def _address(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # refuses what is no number
    except ValueError:
        raise UserError("an address is malformed", where=where, hint="Mend it") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(
            f"{shown(url)} is no address that http or https has",
            where=where,
            hint="Get the file otherwise, and give its path",
        )
    return parts


def _given_identity(source: RemoteSource, where: str) -> ExpectedFile:
    try:
        hashes = (source.sha256, source.sha1, source.md5)
        return ExpectedFile(None, *(digest.lower() if digest else None for digest in hashes))
    except ValueError as error:
        raise UserError(
            str(error), where=where, hint="Give all its hexadecimal digits, in quotes"
        ) from None


def _catalogued(address: SplitResult, description: DatasetDescription) -> PublishedArchive | None:
    """Return the published archive that an address, maybe a mirror's, has."""
    if not isinstance(description, PublishedDescription):
        return None
    for archive in description.archives:
        if _name(address) == archive.name or _same_target(address, archive):
            return archive
    return None


def _login(
    address: SplitResult, archive: PublishedArchive | None, description: DatasetDescription
) -> str | None:
    """Return where one logs in: at the site, or at a server of this machine in its stead. Nobody
    else may ask for the password.
    """
    if not (isinstance(description, PublishedDescription) and description.login and archive):
        return None
    if not _same_target(address, archive):
        return None
    site = urlsplit(description.login)
    if address.hostname not in (site.hostname, *LOOPBACK):
        return None
    return urlunsplit((address.scheme, address.netloc, site.path, "", ""))


def _name(address: SplitResult) -> str:
    name = PurePosixPath(unquote(address.path)).name
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".")[-128:] or "archive"


def _same_target(address: SplitResult, archive: PublishedArchive) -> bool:
    """Whether path and query are those of the published address."""
    return address[2:4] == urlsplit(archive.url)[2:4]


def _identity(archive: PublishedArchive) -> ExpectedFile:
    return ExpectedFile(archive.size, archive.sha256, archive.sha1, archive.md5)

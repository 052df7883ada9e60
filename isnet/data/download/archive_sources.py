"""Parses the key `source` in params.yaml, which says where the raw files of a data set are.

Its entries are local folders, local archives, or addresses of archives on servers.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from isnet.data.catalog import DatasetDescription, PublishedArchive, PublishedDescription
from isnet.data.download import ExpectedFile, HashLockFile, RemoteFile
from isnet.data.download.credentials import LOOPBACK, redact_url
from isnet.errors import UserError
from isnet.settings.params import RemoteSource

Source = Path | RemoteFile
"""A folder or archive on this machine, or an archive on a server."""


def read_sources(
    sources: Sequence[str | RemoteSource],
    description: DatasetDescription,
    *,
    home: Path,
    downloads: Path,
    where: str,
) -> list[Source]:
    """Parse the entries of `source` in params.yaml.

    Without entries, the published archives of the data set are used. Relative paths start at
    `home`. Downloads are saved in `downloads`. `where` is the key in params.yaml, for messages.

    Raises:
        UserError: a path does not exist, an address is not http or https, or a folder is given
            together with other entries.
    """
    if not sources and isinstance(description, PublishedDescription):
        sources = [archive.url for archive in description.archives]
    parsed: list[Source] = []
    for source in sources:
        if isinstance(source, RemoteSource):
            parsed.append(_parse_remote(source, description, downloads, where))
        elif re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
            parsed.append(_parse_remote(RemoteSource(url=source), description, downloads, where))
        else:
            parsed.append(_parse_local(source, home, description, where))
    folders = [source for source in parsed if isinstance(source, Path) and source.is_dir()]
    if folders and len(parsed) > 1:
        what = f"{folders[0]} is a folder, and there are {len(parsed)} entries"
        hint = "Give one folder with the whole data set, or only archives and addresses"
        raise UserError(what, where=where, hint=hint)
    return parsed


def local_path(text: str, home: Path) -> Path:
    """Return the path of a local source, with `~` expanded. Relative paths start at `home`."""
    try:
        return home / Path(text).expanduser()
    except RuntimeError:  # `~NAME` of an unknown user
        return home / text


def _parse_local(text: str, home: Path, description: DatasetDescription, where: str) -> Path:
    path = local_path(text, home)
    if os.access(path, os.R_OK):
        return path
    hint = "Give a folder, archives, or addresses (http, https) of archives"
    if isinstance(description, PublishedDescription):
        hint += f"; without `source`, the published files of {description.title} are downloaded"
    what = f"{path} cannot be read" if path.exists() else f"there is no {path}"
    raise UserError(what, where=where, hint=hint)


def _parse_remote(
    source: RemoteSource, description: DatasetDescription, downloads: Path, where: str
) -> RemoteFile:
    address = _parse_address(source.url, where)
    hashes = (source.sha256, source.sha1, source.md5)
    try:
        expected = ExpectedFile(None, *(digest.lower() if digest else None for digest in hashes))
    except ValueError as error:
        hint = "Give all its hexadecimal digits, in quotes"
        raise UserError(str(error), where=where, hint=hint) from None
    archive = _find_published(address, description)
    path = downloads / (archive.name if archive else _file_name(address))
    if archive and not expected.digests:
        expected = ExpectedFile(archive.size, archive.sha256, archive.sha1, archive.md5)
    else:  # the hash separates files of the same name from different addresses
        digest = hashlib.sha256(source.url.encode()).hexdigest()[:8]
        path = downloads / f"{address.hostname}-{digest}" / path.name
    return RemoteFile(
        source.url,
        path,
        HashLockFile(downloads),
        _manual_hint(description, path),
        expected,
        _login_address(address, archive, description),
    )


def _manual_hint(description: DatasetDescription, path: Path) -> str:
    if not isinstance(description, PublishedDescription):
        return f"Correct the address, or put the file at {path} yourself"
    other = "Or give another address, or a file, as `source`"
    if description.by_hand:
        other = f"Or get {description.by_hand} with a browser and give both as `source`"
    return f"Get it with a browser ({description.homepage}) and put it there: {path}. {other}"


def _parse_address(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError unless it is a number
    except ValueError:
        raise UserError("an address is malformed", where=where, hint="Correct it") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        what = f"{redact_url(url)} is not an http or https address"
        raise UserError(what, where=where, hint="Get the file by other means, and give its path")
    return parts


def _find_published(
    address: SplitResult, description: DatasetDescription
) -> PublishedArchive | None:
    """Return the published archive with this address or, for mirrors, with this file name."""
    if not isinstance(description, PublishedDescription):
        return None
    name = _file_name(address)
    return next(
        (one for one in description.archives if name == one.name or _is_at(address, one)), None
    )


def _login_address(
    address: SplitResult, archive: PublishedArchive | None, description: DatasetDescription
) -> str | None:
    """Return the address of the log-in form that a published archive needs, or None.

    The form is on the host of the archive, which must be the publisher's site or this machine. No
    other host may receive the password.
    """
    if not (isinstance(description, PublishedDescription) and description.login and archive):
        return None
    site = urlsplit(description.login)
    if address.hostname in (site.hostname, *LOOPBACK) and _is_at(address, archive):
        return urlunsplit((address.scheme, address.netloc, site.path, "", ""))
    return None


def _file_name(address: SplitResult) -> str:
    name = PurePosixPath(unquote(address.path)).name
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".")[-128:] or "archive"


def _is_at(address: SplitResult, archive: PublishedArchive) -> bool:
    return address[2:4] == urlsplit(archive.url)[2:4]

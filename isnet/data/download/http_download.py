"""Fetching one file over HTTP: whole and of the right content, or not at all.

The bytes gather in `NAME.part`, which outlives cuts and killed processes; only when size and
hashes are right does the file get its name.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import requests

from isnet.data.download.checksums import DEFAULT_ALGORITHM, UNKNOWN, ExpectedFile, Hashes
from isnet.data.download.hash_lock_file import HashLockFile
from isnet.data.download.http_response import LoginRequired, is_page, place_in, request_headers
from isnet.data.download.partial_download import Part
from isnet.data.download.retry import TIMEOUTS, GivenUp, Patience, Setback
from isnet.data.download.url_text import shown
from isnet.errors import UserError
from isnet.io.console import ProgressCallback, format_bytes
from isnet.io.disk_space import require_free_space
from isnet.io.wait_lock import exclusive

__all__ = ["RemoteFile", "fetch"]

_log = logging.getLogger(__name__)

_CHUNK = 1 << 18


@dataclass(frozen=True)
class RemoteFile:
    """A file, where it comes from, and what it must be."""

    url: str
    """http or https; user and password may stand in it, and are never shown."""
    path: Path
    hash_lock: HashLockFile
    """Holds the file to what it was at first, if `published` has no hash."""
    hint: str
    """Ends the message when the file cannot be had: how to get it otherwise."""
    published: ExpectedFile = UNKNOWN

    @property
    def identity(self) -> ExpectedFile:
        """What it must be: as published, or as it was at first."""
        if self.published.digests:
            return self.published
        return self.hash_lock.identity(self.path) or self.published

    def error(self, what: str) -> UserError:
        """Return the one line that says why the file is not there."""
        return UserError(f"{what}: {self.path} was not made", where=shown(self.url), hint=self.hint)


def fetch(
    file: RemoteFile, *, show: ProgressCallback, session: requests.Session | None = None
) -> None:
    """Bring a file to its path, or check the one that is there.

    A download that was interrupted continues. What may pass (no connection, one that is cut, a busy
    server) is tried again, with growing pauses. A second process waits for the first one.

    Args:
        file: what and where.
        show: told bytes done and bytes in all.
        session: with the cookies of somebody who is logged in.

    Raises:
        LoginRequired: a web page came in place of the file.
        UserError: the file could not be had, or is another one, or the disk is full.
    """
    if not file.path.is_file():
        with exclusive(file.path):
            if not file.path.is_file():
                with requests.Session() if session is None else nullcontext(session) as asked:
                    _fetch_now(file, asked, show)
                return
    _check(file)


def _check(file: RemoteFile) -> None:
    identity = file.identity
    hashes = Hashes(identity)
    hashes.add_file(file.path)
    wrong = identity.difference(file.path.stat().st_size, hashes.digests)
    if wrong:
        raise UserError(
            f"the content is not that of {file.path.name}: {wrong}",
            where=str(file.path),
            hint="Delete it; the same command fetches it again",
        )


def _fetch_now(file: RemoteFile, session: requests.Session, show: ProgressCallback) -> None:
    identity = file.identity
    part = Part(file.path, identity)
    onward = f", from {format_bytes(part.size)} on" if part.size else ""
    _log.info(f"fetches {shown(file.url)}{onward}")
    _receive(file, part, session, show)
    wrong = identity.difference(part.size, part.hashes.digests)
    if wrong and part.is_joined:
        # The server may have changed the file between two attempts without saying so.
        _log.info(f"pieced together, {wrong}; fetches all of it anew")
        part.discard()
        _receive(file, part, session, show)
        wrong = identity.difference(part.size, part.hashes.digests)
    if wrong:
        part.discard()
        raise _other_content(file, wrong)
    if not identity.digests:
        digest = part.hashes.digests[DEFAULT_ALGORITHM]
        file.hash_lock.record(file.path, file.url, part.size, digest)
        _log.info(
            f"{file.path.name} has no published hash; it is held to SHA-256 {digest} from now on"
        )
    part.publish()
    _log.info(f"has {file.path} ({format_bytes(part.size)})")


def _other_content(file: RemoteFile, wrong: str) -> UserError:
    what = f"the content is not that of {file.path.name}: {wrong}"
    is_recorded = not file.published.digests and file.hash_lock.identity(file.path) is not None
    hint = file.hash_lock.hint(file.path) if is_recorded else file.hint
    return UserError(what, where=shown(file.url), hint=hint)


def _receive(
    file: RemoteFile, part: Part, session: requests.Session, show: ProgressCallback
) -> None:
    """Make `part` whole, in as many attempts as it takes."""

    def attempt() -> None:
        if not _is_whole(part, file.identity):
            _attempt(file, part, session, show)

    try:
        Patience().persist(attempt, lambda: part.size)
    except GivenUp as end:
        raise file.error(str(end)) from None


def _is_whole(part: Part, identity: ExpectedFile) -> bool:
    """Whether an earlier process was stopped just before the end."""
    length = part.origin and part.origin.length
    return part.size > 0 and part.size == (length or identity.size)


def _attempt(
    file: RemoteFile, part: Part, session: requests.Session, show: ProgressCallback
) -> None:
    headers = request_headers(part)
    with session.get(file.url, headers=headers, stream=True, timeout=TIMEOUTS) as answer:
        # A page must not replace what has arrived: a session that has expired is renewed.
        if answer.status_code in (200, 206) and is_page(answer, file.path.name, b""):
            raise _login_page(file, answer)
        if not place_in(part, answer, file.url):
            return
        total = part.origin.length if part.origin else None
        _refuse_size(file, part, total)
        show(part.size, total)
        for chunk in answer.raw.stream(_CHUNK, decode_content=False):
            if not part.size and is_page(answer, file.path.name, chunk):
                part.discard()
                raise _login_page(file, answer)
            part.append(chunk)
            show(part.size, total)
    if total is not None and part.size < total:
        raise Setback("the server sent less than was asked for")
    if total is not None and part.size > total:
        part.discard()
        raise Setback("the server sent more bytes than the file has; begins anew")


def _refuse_size(file: RemoteFile, part: Part, total: int | None) -> None:
    """Refuse before the transfer what cannot fit: the disk, or what is known of the file."""
    known = file.identity.size
    if known is not None and total is not None and total != known:
        part.discard()
        raise _other_content(file, f"the server offers {total:,} bytes, not {known:,}")
    if (size := total or known) is not None:
        require_free_space(file.path.parent, size - part.size, f"the rest of {file.path.name}")


def _login_page(file: RemoteFile, answer: requests.Response) -> LoginRequired:
    came_from = shown(answer.url)
    return LoginRequired(
        f"a web page came in place of {file.path.name} (a log-in page?)",
        where=came_from,
        hint=file.hint,
    )

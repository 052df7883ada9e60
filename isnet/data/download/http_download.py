"""Downloads one file over HTTP, verifies it, and resumes after an interruption.

The bytes are written to `NAME.part`, which is kept when the connection is cut or the process is
killed. The file gets its final name when its size and hashes are right.
"""

import logging
import re
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import requests

from isnet.data.download.credentials import redact_url
from isnet.data.download.file_hashes import ExpectedFile, HashLockFile
from isnet.data.download.partial_download import PartialDownload
from isnet.data.download.retry import TIMEOUTS, PermanentError, TransientError, retry
from isnet.errors import UserError
from isnet.io.atomic_files import sha256_of
from isnet.io.console import ProgressCallback, format_bytes
from isnet.io.disk_space import require_free_space
from isnet.io.exclusive_lock import exclusive

_log = logging.getLogger(__name__)

_CHUNK = 1 << 18
_PAGE = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)


class LoginRequired(UserError):
    """The error for a server that refuses access, or sends a web page instead of the file."""


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server, with its expected hashes and the path at which it is saved."""

    url: str
    """An http or https address. A user name and password in it are neither shown nor stored."""
    path: Path
    hash_lock: HashLockFile
    """File that records the hash of the first download if `published` has none."""
    hint: str
    """How to get the file by other means, as the end of error messages."""
    published: ExpectedFile = field(default_factory=ExpectedFile)
    login: str | None = None
    """Address of the log-in form, if an account is needed (see `LoginSession`)."""

    @property
    def expected(self) -> ExpectedFile:
        """Published size and hashes, else those recorded at the first download."""
        if self.published.digests:
            return self.published
        return self.hash_lock.expected(self.path) or self.published


def fetch(
    file: RemoteFile, *, show: ProgressCallback, session: requests.Session | None = None
) -> None:
    """Download a file, or verify it if it exists already.

    An interrupted download is resumed. Temporary failures, such as a cut connection or a busy
    server, are retried after longer and longer pauses. A second process waits for the first. `show`
    is called with the number of bytes done and the total number. `session` is logged in, if the
    server needs that.

    Raises:
        LoginRequired: the server sent a web page instead of the file.
        UserError: the download failed, the content is wrong, or the disk is full.
    """
    if not file.path.is_file():
        with exclusive(file.path):
            if not file.path.is_file():
                with requests.Session() if session is None else nullcontext(session) as opened:
                    _Download(file, opened, show).run()
                return
    if wrong := file.expected.mismatch(file.path):
        what = f"the content is not that of {file.path.name}: {wrong}"
        hint = "Delete it; the same command downloads it again"
        raise UserError(what, where=str(file.path), hint=hint)


class _Download:
    def __init__(self, file: RemoteFile, session: requests.Session, show: ProgressCallback) -> None:
        self._file, self._session, self._show = file, session, show
        self._expected = file.expected
        self._partial = PartialDownload(file.path, self._expected)

    def run(self) -> None:
        file, partial = self._file, self._partial
        resumed = f", from {format_bytes(partial.size)} on" if partial.size else ""
        _log.info(f"downloads {redact_url(file.url)}{resumed}")
        wrong = self._receive()
        if wrong and partial.is_joined:
            # The server may have changed the file between two attempts without a new version.
            _log.info(f"the resumed download is damaged ({wrong}); downloads all of it again")
            partial.discard()
            wrong = self._receive()
        if wrong:
            partial.discard()
            raise self._wrong_content(wrong)
        if not self._expected.digests:
            digest = sha256_of(partial.path)
            file.hash_lock.record(file.path, file.url, partial.size, digest)
            required = f"its SHA-256 {digest} is required from now on"
            _log.info(f"{file.path.name} has no published hash; {required}")
        partial.publish()
        _log.info(f"saved {file.path} ({format_bytes(partial.size)})")

    def _receive(self) -> str | None:
        """Receive the whole file, with retries; describe how it differs from the expected one.

        Returns None if it does not differ.
        """
        try:
            retry(self._attempt, lambda: self._partial.size)
        except PermanentError as error:
            what = f"{error}: {self._file.path} was not made"
            raise UserError(what, where=redact_url(self._file.url), hint=self._file.hint) from None
        return self._expected.mismatch(self._partial.path)

    def _attempt(self) -> None:
        file, partial = self._file, self._partial
        length = partial.version and partial.version.length
        if partial.size and partial.size == (length or self._expected.size):
            return  # an earlier process was stopped just before the end
        headers = partial.request_headers()
        with self._session.get(file.url, headers=headers, stream=True, timeout=TIMEOUTS) as answer:
            # The bytes so far are kept: when a session has expired, it is renewed.
            if answer.status_code in (200, 206):
                self._refuse_web_page(answer, b"")
            if not partial.prepare(answer, file.url):
                return
            total = partial.version.length if partial.version else None
            self._check_size(total)
            self._show(partial.size, total)
            for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                if not partial.size:
                    self._refuse_web_page(answer, chunk)
                partial.append(chunk)
                self._show(partial.size, total)
        if total is not None and partial.size < total:
            raise TransientError("the server sent fewer bytes than requested")
        if total is not None and partial.size > total:
            partial.discard()
            raise TransientError("the server sent more bytes than the file has; starts again")

    def _check_size(self, total: int | None) -> None:
        """Raise UserError before the transfer if the size is wrong or the free space too small."""
        known = self._expected.size
        if known is not None and total is not None and total != known:
            self._partial.discard()
            raise self._wrong_content(f"the server offers {total:,} bytes, not {known:,}")
        if (size := total or known) is not None:
            path = self._file.path
            require_free_space(path.parent, size - self._partial.size, f"the rest of {path.name}")

    def _wrong_content(self, wrong: str) -> UserError:
        file = self._file
        is_recorded = not file.published.digests and file.hash_lock.expected(file.path) is not None
        what = f"the content is not that of {file.path.name}: {wrong}"
        hint = file.hash_lock.hint(file.path) if is_recorded else file.hint
        return UserError(what, where=redact_url(file.url), hint=hint)

    def _refuse_web_page(self, answer: requests.Response, head: bytes) -> None:
        """Raise LoginRequired if the server sends a web page instead of the file.

        A web page is recognised by its content type or its first bytes, `head`. A file whose name
        is that of a web page is accepted.
        """
        path = self._file.path
        is_html = answer.headers.get("Content-Type", "").startswith("text/html")
        if path.suffix.lower() in (".html", ".htm") or not (is_html or _PAGE.match(head)):
            return
        if head:
            self._partial.discard()
        what = f"the server sent a web page instead of {path.name} (a log-in page?)"
        raise LoginRequired(what, where=redact_url(answer.url), hint=self._file.hint)

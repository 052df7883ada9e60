"""HTTP range requests: headers that ask for the missing bytes, and checks of the response."""

import re
from pathlib import PurePath

import requests

from isnet.data.download.credentials import redact_url
from isnet.data.download.partial_download import FileVersion, PartialDownload
from isnet.data.download.retry import PermanentError, TransientError, server_pause
from isnet.errors import UserError

_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
NO_ACCESS = (401, 403)
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_PAGE = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)


class LoginRequired(UserError):
    """The server sent a web page, or refused access, instead of sending the file."""


def request_headers(partial: PartialDownload) -> dict[str, str]:
    """Return the headers that request the missing bytes, if the file has not changed."""
    # With another encoding, lengths and ranges would not be those of the file.
    headers = {"Accept-Encoding": "identity"}
    if partial.can_continue:
        headers["Range"] = f"bytes={partial.size}-"
        if partial.version and partial.version.validator:
            headers["If-Range"] = partial.version.validator
    return headers


def check_status(response: requests.Response, accepted: tuple[int, ...]) -> None:
    """Raise unless the status is one of `accepted`.

    Raises:
        TransientError: a status that may pass, such as 503.
        PermanentError: any other status.
    """
    status = response.status_code
    if status in accepted:
        return
    reason = f"the server answers {status} {response.reason}".rstrip()
    if status in _TRANSIENT:
        raise TransientError(reason, server_pause(response))
    raise PermanentError(reason)


def prepare(partial: PartialDownload, response: requests.Response, url: str) -> bool:
    """Prepare `partial` for the body of a response; return False if it is already complete.

    Raises:
        TransientError: the response does not fit to the bytes so far, which are discarded.
        PermanentError: the server refuses.
    """
    try:
        check_status(response, (200, 206, 416))
    except PermanentError as error:
        hint = " (is a log-in needed?)" if response.status_code in NO_ACCESS else ""
        raise PermanentError(f"{error}{hint}") from None
    start, total = _range(response)
    old = partial.version
    version = FileVersion(
        url=redact_url(url),
        etag=response.headers.get("ETag"),
        last_modified=response.headers.get("Last-Modified"),
        length=total,
    )
    if response.status_code == 200:
        partial.restart(version)
    elif response.status_code == 416:  # range not satisfiable: no bytes after these
        if partial.size and total == partial.size and old and old.length in (None, total):
            return False
        partial.discard()
        raise TransientError("the partial download is not that of the file; starts again")
    elif start != partial.size or not (old and old.matches(version)):
        partial.discard()
        raise TransientError("the server sent another range than requested; starts again")
    else:
        partial.is_joined = True
    return True


def is_web_page(response: requests.Response, name: str, head: bytes) -> bool:
    """Return whether a web page was sent instead of the file `name`, by type or first bytes."""
    if PurePath(name).suffix.lower() in (".html", ".htm"):
        return False
    is_html = response.headers.get("Content-Type", "").startswith("text/html")
    return is_html or bool(_PAGE.match(head))


def _range(response: requests.Response) -> tuple[int | None, int | None]:
    """Return the offset of the body and the length of the whole file; None: unknown."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not match:
        return None, None
    start, total = match.groups()
    return None if start is None else int(start), None if total == "*" else int(total)

"""What a server answers when a file, or the rest of one, is asked for."""

from __future__ import annotations

import re
from pathlib import PurePath

import requests

from isnet.data.download.partial_download import Origin, Part
from isnet.data.download.retry import GivenUp, Setback, asked_pause
from isnet.data.download.url_text import shown
from isnet.errors import UserError

__all__ = ["NO_ACCESS", "TRANSIENT", "LoginRequired", "is_page", "place_in", "request_headers"]

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
NO_ACCESS = (401, 403)
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_PAGE = re.compile(rb"\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
_PAGE_NAMES = (".html", ".htm")


class LoginRequired(UserError):
    """The server sent a web page in place of the file."""


def request_headers(part: Part) -> dict[str, str]:
    """Return the headers that ask for what `part` lacks, if it is still the same content."""
    # Compressed on the way, neither lengths nor ranges would be those of the file.
    headers = {"Accept-Encoding": "identity"}
    if part.can_continue:
        headers["Range"] = f"bytes={part.size}-"
        if part.origin and part.origin.validator:
            headers["If-Range"] = part.origin.validator
    return headers


def place_in(part: Part, answer: requests.Response, url: str) -> bool:
    """Make `part` ready for the body of `answer`; False: it has all bytes, and none follow.

    Raises:
        Setback: nothing usable, but another attempt may go well; what does not fit is discarded.
        GivenUp: the server refuses.
    """
    status = answer.status_code
    if status == 416:
        return _beyond_the_end(part, answer)
    if status not in (200, 206):
        reason = f"the server answers {status} {answer.reason}".rstrip()
        if status in TRANSIENT:
            raise Setback(reason, asked_pause(answer))
        raise GivenUp(f"{reason} (is a log-in needed?)" if status in NO_ACCESS else reason)
    start, total = _extent(answer)
    origin = Origin(
        url=shown(url),
        etag=answer.headers.get("ETag"),
        last_modified=answer.headers.get("Last-Modified"),
        length=total,
    )
    if status == 200:
        part.restart(origin)
    elif start != part.size or not (part.origin and part.origin.same_content(origin)):
        part.discard()
        raise Setback("the server goes on with other bytes than asked for, so all is fetched anew")
    else:
        part.is_joined = True
    return True


def is_page(answer: requests.Response, name: str, head: bytes) -> bool:
    """Whether a web page came in place of the file `name`, by its type or its first bytes."""
    if PurePath(name).suffix.lower() in _PAGE_NAMES:
        return False
    return answer.headers.get("Content-Type", "").startswith("text/html") or bool(_PAGE.match(head))


def _beyond_the_end(part: Part, answer: requests.Response) -> bool:
    _, total = _extent(answer)
    if part.size and total == part.size and part.origin and part.origin.length in (None, total):
        return False
    part.discard()
    raise Setback("the server has no more bytes, but they do not make the file; begins anew")


def _extent(answer: requests.Response) -> tuple[int | None, int | None]:
    """Return where the body starts in the file, and the length of the whole, as far as told."""
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    told = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if not told:
        return None, None
    start, total = told.groups()
    return None if start is None else int(start), None if total == "*" else int(total)

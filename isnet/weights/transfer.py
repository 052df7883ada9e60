"""Fetching one file over HTTP: whole and of the right content, or not at all."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import requests

from isnet.errors import UserError
from isnet.files import atomic_path, sha256_of

__all__ = ["fetch", "refuse_other_content"]

_PAUSES = (1.0, 4.0)
"""Seconds before the second and the third attempt."""
_TIMEOUTS = (10.0, 60.0)
"""Seconds to wait for the connection, and for the next bytes."""
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_CHUNK = 1 << 20
_HASH = re.compile(r"-([0-9a-f]{8,64})\.\w+$")


def fetch(url: str, path: Path, say: Callable[[str], None], *, cure: str) -> None:
    """Write what `url` has to `path`, which appears only when it is whole and has the right hash.

    What may pass (no connection, a connection that is cut, a busy server) is tried three times.

    Args:
        url: http or https.
        path: where; its name tells the first digits of the SHA-256 (`x-2cccc1ad.pth`), or nothing.
        say: told what is fetched, and what is tried again.
        cure: ends the message when it does not work.

    Raises:
        UserError: the file could not be had, or is another one.
    """
    say(f"fetches {url}")
    for pause in (*_PAUSES, None):
        try:
            with atomic_path(path) as temporary:
                _receive(url, temporary)
                refuse_other_content(temporary, name=path.name, where=url, cure=cure)
        except requests.RequestException as error:
            reason, is_transient = _reason(error)
            if pause is None or not is_transient:
                raise UserError(f"{reason}: {path} was not made", where=url, cure=cure) from None
            say(f"{reason}; tries again in {pause:.0f} s")
            time.sleep(pause)
        except OSError as error:
            raise UserError(
                f"cannot write: {error.strerror}",
                where=str(path),
                cure="Make room there, or set TORCH_HOME to a folder you can write",
            ) from None
        else:
            say(f"has {path} ({path.stat().st_size / 1e6:.1f} MB)")
            return


def refuse_other_content(path: Path, *, name: str, where: str, cure: str) -> None:
    """Compare the SHA-256 of `path` with the digits in the file name `name`, if it has any.

    Raises:
        UserError: they differ.
    """
    told = _HASH.search(name)
    if not told:
        return
    digest = sha256_of(path)
    if not digest.startswith(told[1]):
        raise UserError(
            f"the content is not that of {name}: its SHA-256 begins with {digest[:8]}",
            where=where,
            cure=cure,
        )


def _receive(url: str, path: Path) -> None:
    # Compressed on the way, a cut transfer could not be told by its length.
    headers = {"Accept-Encoding": "identity"}
    with (
        requests.get(url, stream=True, timeout=_TIMEOUTS, headers=headers) as answer,
        path.open("wb") as file,
    ):
        answer.raise_for_status()
        for chunk in answer.iter_content(_CHUNK):
            file.write(chunk)


def _reason(error: requests.RequestException) -> tuple[str, bool]:
    """Say in a few words what happened, and whether it may pass."""
    answer = error.response
    if answer is not None:
        status = answer.status_code
        return f"the server answers {status} {answer.reason}", status in _TRANSIENT
    if isinstance(error, requests.Timeout):
        return "no answer in time", True
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut", True
    if isinstance(error, requests.ConnectionError):
        return "no connection", True
    return type(error).__name__, False

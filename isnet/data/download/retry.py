"""How often, and after which pause, a transfer is tried again."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

import requests
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.util import Retry

__all__ = ["TIMEOUTS", "GivenUp", "Patience", "Setback", "asked_pause"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

TIMEOUTS = (10.0, 60.0)
"""Seconds to wait for the connection, and for the next bytes."""

_ATTEMPTS = 5
"""In a row without `_PROGRESS`."""
_PROGRESS = 8 << 20
"""Bytes that make an attempt worth another five."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds; each pause is twice the one before, and up to half as long again by chance, so that
many that were cut off together do not come back together.
"""
_LONGEST_ASKED = 900.0
"""Seconds; who asks for more gets none."""


class Setback(Exception):
    """An attempt that failed and may go well another time."""

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pause = pause
        """Seconds that the server asked to wait."""


class GivenUp(Exception):
    """No further attempt makes sense; the message says what happened in a few words."""


class Patience:
    """Counts the attempts of one transfer."""

    def __init__(self) -> None:
        self._failures = 0
        self._furthest = 0

    def persist(self, attempt: Callable[[], Result], arrived: Callable[[], int]) -> Result:
        """Make attempts until one goes well; return what it returns.

        Args:
            attempt: may raise `Setback`, `GivenUp` and what requests raises.
            arrived: bytes of the file that are there.

        Raises:
            GivenUp: no further attempt makes sense.
        """
        while True:
            try:
                return attempt()
            except Setback as setback:
                met: Setback | GivenUp = setback
            except (requests.RequestException, HTTPError) as error:
                met = _reason_of(error)
            if isinstance(met, GivenUp):
                raise met
            self._wait(met, arrived())

    def _wait(self, setback: Setback, size: int) -> None:
        """Pause before the next attempt.

        Args:
            setback: why the last one failed.
            size: bytes that have arrived of the file.

        Raises:
            GivenUp: it was the last one, or the server asks for too long a pause.
        """
        if size >= self._furthest + _PROGRESS:
            self._furthest, self._failures = size, 0
        self._failures += 1
        if self._failures == _ATTEMPTS:
            raise GivenUp(f"{setback.reason}, at attempt {_ATTEMPTS}")
        pause = min(_FIRST_PAUSE * 2 ** (self._failures - 1), _LONGEST_PAUSE)
        pause = max(pause * random.uniform(1.0, 1.5), setback.pause or 0.0)
        if pause > _LONGEST_ASKED:
            raise GivenUp(f"{setback.reason} and asks to wait {pause:.0f} s")
        _log.info(f"{setback.reason}; tries again in {pause:.0f} s")
        time.sleep(pause)


def asked_pause(answer: requests.Response) -> float | None:
    """Return the seconds of Retry-After, which may also be a date."""
    asked = answer.headers.get("Retry-After")
    if not asked:
        return None
    try:
        return Retry(retry_after_max=10**9).parse_retry_after(asked)
    except InvalidHeader:
        return None


def _reason_of(error: requests.RequestException | HTTPError) -> Setback | GivenUp:
    """Say in a few words what a failed connection met; the error's text may hold credentials."""
    if isinstance(error, requests.exceptions.SSLError):
        return GivenUp("the server's certificate is not to be trusted")
    if isinstance(error, ValueError):  # InvalidURL, InvalidSchema and the like
        return GivenUp("this is no address that http has")
    if isinstance(error, requests.TooManyRedirects):
        return GivenUp("the server redirects in circles")
    if isinstance(error, requests.Timeout | ReadTimeoutError):
        return Setback("no answer in time")
    if isinstance(error, requests.exceptions.ProxyError):
        return Setback("no connection through the proxy")
    if isinstance(error, requests.exceptions.ChunkedEncodingError | HTTPError):
        return Setback("the connection was cut")
    if isinstance(error, requests.ConnectionError):
        return Setback("no connection")
    return GivenUp(type(error).__name__)

"""Retries HTTP requests with exponential backoff, and tells transient from permanent errors."""

import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

import requests
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.util import Retry

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

TIMEOUTS = (10.0, 60.0)
"""Timeouts in seconds, for the connection and for the next bytes."""
NO_ACCESS = (401, 403)

_ATTEMPTS = 5
"""Number of failed attempts after which a request is given up, unless it makes `_PROGRESS`."""
_PROGRESS = 8 << 20
"""Number of received bytes after which failed attempts are counted from 0 again."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Pauses in seconds. Each pause is twice as long as the one before, plus up to 50 % jitter."""
_LONGEST_RETRY_AFTER = 900.0
"""Longest pause in seconds that a server may demand. A longer one ends the download."""
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)
_PERMANENT: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.SSLError, "the server's certificate is not trusted"),
    (ValueError, "this is not a valid http or https address"),  # InvalidURL, InvalidSchema ...
    (requests.TooManyRedirects, "the server redirects in circles"),
)
_TRANSIENT: tuple[tuple[type[Exception], str], ...] = (
    (requests.Timeout, "no answer in time"),
    (ReadTimeoutError, "no answer in time"),
    (requests.exceptions.ProxyError, "no connection through the proxy"),
    (requests.exceptions.ChunkedEncodingError, "the connection was cut"),
    (HTTPError, "the connection was cut"),
    (requests.ConnectionError, "no connection"),
)


class TransientError(Exception):
    """The error for a request that may succeed later.

    `pause` is the waiting time in seconds that the server demands (Retry-After), if it does.
    """

    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.pause = pause


class PermanentError(Exception):
    """The error for a request that is not tried again, with a message of a few words."""


def retry(attempt: Callable[[], Result], bytes_done: Callable[[], int]) -> Result:
    """Call `attempt` with exponential backoff until it succeeds; return its result.

    `attempt` may raise `TransientError`, `PermanentError` and the errors of requests. `bytes_done`
    returns the number of bytes received so far: unlike in urllib3 and tenacity, the count of
    failures restarts after each 8 MB.

    Raises:
        PermanentError: the error is permanent, or five attempts in a row have failed.
    """
    failures, furthest = 0, 0
    while True:
        try:
            return attempt()
        except TransientError as transient:
            error = transient
        except (requests.RequestException, HTTPError) as failure:
            error = _classify(failure)
        if bytes_done() >= furthest + _PROGRESS:
            furthest, failures = bytes_done(), 0
        failures += 1
        if failures == _ATTEMPTS:
            raise PermanentError(f"{error}, at attempt {_ATTEMPTS}")
        pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE) * random.uniform(1.0, 1.5)
        pause = max(pause, error.pause or 0.0)
        if pause > _LONGEST_RETRY_AFTER:
            raise PermanentError(f"{error} and asks to wait {pause:.0f} s")
        _log.info(f"{error}; tries again in {pause:.0f} s")
        time.sleep(pause)


def check_status(response: requests.Response, accepted: tuple[int, ...]) -> None:
    """Raise an error unless the HTTP status of a response is one of `accepted`.

    It is TransientError for a temporary failure, such as 503, and PermanentError for any other.
    """
    status = response.status_code
    if status in accepted:
        return
    reason = f"the server answers {status} {response.reason}".rstrip()
    if status in _TRANSIENT_STATUS:
        pause = None
        with contextlib.suppress(InvalidHeader):  # a number of seconds, or a date
            if header := response.headers.get("Retry-After"):
                pause = Retry(retry_after_max=10**9).parse_retry_after(header)
        raise TransientError(reason, pause)
    raise PermanentError(reason)


def _classify(error: requests.RequestException | HTTPError) -> TransientError:
    """Convert an error of requests: return a TransientError, or raise a PermanentError.

    The new error has a short reason, because the original text may contain credentials.
    """
    for kind, reason in _PERMANENT:
        if isinstance(error, kind):
            raise PermanentError(reason) from None
    for kind, reason in _TRANSIENT:
        if isinstance(error, kind):
            return TransientError(reason)
    raise PermanentError(type(error).__name__) from None

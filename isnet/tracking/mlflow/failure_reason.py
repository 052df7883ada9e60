"""Why MLflow could not be fed, in a few words instead of a chain of exceptions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from isnet.tracking.store_address import scrubbed

__all__ = ["reason_of"]

_KNOWN = {
    "connection refused": r"connection refused",
    "unknown host": r"name or service not known|failed to resolve|nodename nor servname|"
    r"could not translate host name|temporary failure in name resolution",
    "no answer in time": r"timed out|timeout expired|read timeout",
    "the connection was cut": r"connection aborted|connection reset|remote end closed|"
    r"server closed the connection|incompleteread|broken pipe",
    "it refuses this name of its host (see `mlflow server --allowed-hosts`)": r"dns rebinding",
    "not allowed (check user, password or token)": r"\b40[13]\b|permission_denied|unauthori[sz]ed|"
    r"password authentication failed",
    "its disk is full": r"disk (is )?full|no space left",
}
_LENGTH = 200


def reason_of(error: BaseException) -> str:
    """Return what went wrong in one line, without secrets."""
    told = " ".join(map(str, _chain(error)))
    if match := re.search(r"\b(?:code|many|server error:?)\W+(5\d\d)\b", told, re.IGNORECASE):
        return f"it answers {match[1]}"
    for reason, pattern in _KNOWN.items():
        if re.search(pattern, told, re.IGNORECASE):
            return reason
    return f"{type(error).__name__}: {scrubbed(str(error))}"[:_LENGTH]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

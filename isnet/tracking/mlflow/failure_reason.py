"""Short reasons for failed MLflow calls, in place of chains of exceptions."""

import re
from collections.abc import Iterator

from isnet.tracking.redaction import redact

_KNOWN = {
    "connection refused": r"connection refused",
    "unknown host": r"name or service not known|failed to resolve|nodename nor servname|"
    r"could not translate host name|temporary failure in name resolution",
    "no answer in time": r"timed out|timeout expired|read timeout",
    "the connection was cut": r"connection aborted|connection reset|remote end closed|"
    r"server closed the connection|incompleteread|broken pipe",
    "it refuses this host name (see `mlflow server --allowed-hosts`)": r"dns rebinding",
    "not allowed (check user, password or token)": r"\b40[13]\b|permission_denied|unauthori[sz]ed|"
    r"password authentication failed",
    "its disk is full": r"disk (is )?full|no space left",
}
_MAX_LENGTH = 200


def failure_reason(error: BaseException) -> str:
    """Return what went wrong in one line, without secrets."""
    text = " ".join(map(str, _chain(error)))
    if match := re.search(r"\b(?:code|many|server error:?)\W+(5\d\d)\b", text, re.IGNORECASE):
        return f"it answers {match[1]}"
    for reason, pattern in _KNOWN.items():
        if re.search(pattern, text, re.IGNORECASE):
            return reason
    return f"{type(error).__name__}: {redact(str(error))}"[:_MAX_LENGTH]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

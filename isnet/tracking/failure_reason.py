"""Describes the error of a failed upload in one line."""

import re

from isnet.errors import UserError
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
    """Describe the error of a failed upload in one line, without secrets."""
    if isinstance(error, UserError):
        return str(error)
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    text = " ".join(map(_without_path, chain))
    if match := re.search(r"\b(?:code|many|server error:?)\W+(5\d\d)\b", text, re.IGNORECASE):
        return f"it answers {match[1]}"
    for reason, pattern in _KNOWN.items():
        if re.search(pattern, text, re.IGNORECASE):
            return reason
    return f"{type(error).__name__}: {redact(str(error))}"[:_MAX_LENGTH]


def _without_path(error: BaseException) -> str:
    """Return an error's text, without the path of a file, which may have any words and numbers."""
    if isinstance(error, OSError) and error.filename is not None:
        return str(error.strerror)
    return str(error)

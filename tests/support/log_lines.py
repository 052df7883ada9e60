"""What the package logs, as a list of lines."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["record_log", "stop_recording"]

_LOGGER = logging.getLogger("isnet")


class _Recorder(logging.Handler):
    def __init__(self, listener: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self.listener = listener

    def emit(self, record: logging.LogRecord) -> None:
        self.listener(record.getMessage())


def record_log(listener: Callable[[str], None] | None = None) -> list[str]:
    """Return a list that receives every line logged until the test ends."""
    lines: list[str] = []
    _LOGGER.addHandler(_Recorder(listener or lines.append))
    _LOGGER.setLevel(logging.INFO)
    return lines


def stop_recording() -> None:
    """Remove what `record_log` has added."""
    for handler in [one for one in _LOGGER.handlers if isinstance(one, _Recorder)]:
        _LOGGER.removeHandler(handler)

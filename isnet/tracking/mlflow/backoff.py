"""Exponential backoff between attempts to reach a tracking store."""

from __future__ import annotations

import time

__all__ = ["Backoff"]

_FIRST_SECONDS = 5.0
_LONGEST_SECONDS = 300.0


class Backoff:
    """Pauses that double from 5 seconds to 5 minutes while attempts fail."""

    def __init__(self) -> None:
        self._pause = _FIRST_SECONDS
        self._until = 0.0

    def may_try(self) -> bool:
        """Return whether the current pause, if any, is over."""
        return time.monotonic() >= self._until

    def fail(self) -> None:
        """Start the next, longer pause."""
        self._until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_SECONDS)

    def succeed(self) -> None:
        """Reset the pauses."""
        self._pause, self._until = _FIRST_SECONDS, 0.0

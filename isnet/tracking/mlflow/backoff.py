"""When to try again what has failed, and what is said of it."""

from __future__ import annotations

import time

__all__ = ["Breaker"]

_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 300.0


class Breaker:
    """Pauses that double from five seconds to five minutes while something fails, and one line at
    its first failure and at its first recovery.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._pause = _FIRST_PAUSE
        self._until = 0.0
        self._told: set[str] = set()

    def may_try(self) -> bool:
        """Whether a pause, if any, is over."""
        return time.monotonic() >= self._until

    def failed(self) -> bool:
        """Begin a longer pause; return whether this is to be said."""
        self.is_open = True
        self._until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return self._once("failure")

    def worked(self) -> bool:
        """End the pauses; return whether this is to be said."""
        was_open, self.is_open = self.is_open, False
        self._pause, self._until = _FIRST_PAUSE, 0.0
        return was_open and self._once("recovery")

    @property
    def last_word_is_recovery(self) -> bool:
        """Whether all that was said lets one believe that it works."""
        return "failure" not in self._told or "recovery" in self._told

    def _once(self, what: str) -> bool:
        is_new = what not in self._told
        self._told.add(what)
        return is_new

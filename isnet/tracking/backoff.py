"""Exponential backoff between attempts of an upload."""

import time

_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
"""Seconds without attempts after a failure; doubled by each further one."""


class Backoff:
    """Pause after failures: 5 s, 10 s, ... up to 5 min; a success ends it."""

    def __init__(self) -> None:
        self._pause, self._until = _FIRST_PAUSE, 0.0

    @property
    def is_paused(self) -> bool:
        """Whether it is too early for the next attempt."""
        return time.monotonic() < self._until

    def start_pause(self) -> None:
        """Start a pause after a failure, twice as long as the last."""
        self._until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def reset(self) -> None:
        """Let the next pause be the shortest again, after a success."""
        self._pause = _FIRST_PAUSE

"""Signals that ask a training to stop: it saves a checkpoint first, and the same command continues
it.
"""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["STOPPING", "Interruption"]

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGURG)
"""SIGURG is what Slurm sends before the time limit: every other process of a job ignores it."""


class Interruption:
    """Remembers that somebody asked to stop; a second SIGINT stops at once."""

    def __init__(self) -> None:
        self.asked: str | None = None

    def install(self) -> None:
        """Take over the stopping signals of this process."""
        for number in STOPPING:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name

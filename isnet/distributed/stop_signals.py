"""Signals that ask a training to stop: it saves a checkpoint first, and the same command continues
it.
"""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from isnet.distributed.rank import end_with_launcher, is_one_of_several, leave
from isnet.distributed.slurm_job import stand_by

__all__ = ["AT_ONCE", "AT_ONCE_LINE", "INTERRUPTED", "STOPPING", "Insistence", "Interruption"]

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGURG)
"""SIGURG is what Slurm sends before the time limit: every other process of a job ignores it."""

INTERRUPTED = 75
"""Exit code of a training that was stopped and loses nothing by it (EX_TEMPFAIL): the same command
continues it.
"""

AT_ONCE = 130
"""Exit code after a second Ctrl-C: the training goes on from its last checkpoint."""

AT_ONCE_LINE = "isnet: stopped at once; the same command continues"

_SAME = 0.1  # seconds


class Insistence:
    """Tells a second Ctrl-C from a first one that arrives twice: `timeout` sends a signal to its
    child and to the group.
    """

    def __init__(self) -> None:
        self._first: float | None = None

    def heard(self, number: int) -> bool:
        """Note a signal; return whether it is a second SIGINT."""
        if number != signal.SIGINT:
            return False
        now = time.monotonic()
        if self._first is None:
            self._first = now
        return now - self._first > _SAME


class Interruption:
    """What happens on a stopping signal.

    While nothing can be lost (start, imports, first batch; and what follows the training) the
    process ends there and then, with `INTERRUPTED`. Between `defer` and `resume` the signal is only
    remembered in `asked`, which the training looks at; a second SIGINT ends it at once. One of
    several processes leaves that to its launcher: it hears a single Ctrl-C twice, from the terminal
    and from the launcher.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._deferred = False
        self._insistence = Insistence()

    def install(self) -> None:
        """Take over the stopping signals of this process; a rank also ends with its launcher."""
        for number in STOPPING:
            signal.signal(number, self._note)
        if is_one_of_several():
            end_with_launcher()
        # A rank is born with them held back; one that came in the meantime is handled here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def defer(self) -> None:
        """From now on there is something to save."""
        self._deferred = True

    def resume(self) -> None:
        """From now on nothing can be lost; end here if somebody has asked to."""
        self._deferred = False
        if self.asked:
            self._end()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = self.asked or signal.Signals(number).name
        insists = self._insistence.heard(number)
        if not self._deferred:
            self._end()
        if insists and not is_one_of_several():
            leave(AT_ONCE, AT_ONCE_LINE)

    def _end(self) -> None:
        if not is_one_of_several():
            stand_by(str(self.asked), _tell)
        leave(INTERRUPTED, f"isnet: stopped by {self.asked}; the same command continues")


def _tell(text: str) -> None:
    os.write(2, f"isnet: {text}\n".encode())

"""Signals that ask a training to stop: it saves a checkpoint first, and the same command continues
it.
"""

from __future__ import annotations

import os
import signal
import time
from types import FrameType

from isnet.distributed.rank import end_with_launcher, exit_now, is_rank
from isnet.distributed.slurm_job import wait_for_requeue

__all__ = [
    "ABORTED",
    "ABORTED_MESSAGE",
    "INTERRUPTED",
    "STOP_SIGNALS",
    "SecondInterrupt",
    "StopRequest",
]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGURG)
"""SIGURG is what Slurm sends before the time limit: every other process of a job ignores it."""

INTERRUPTED = 75
"""Exit code of a training that was stopped and loses nothing by it (EX_TEMPFAIL): the same command
continues it.
"""

ABORTED = 130
"""Exit code after a second Ctrl-C: the training goes on from its last checkpoint."""

ABORTED_MESSAGE = "isnet: stopped at once; the same command continues"

_SAME = 0.1  # seconds


class SecondInterrupt:
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


class StopRequest:
    """What happens on a stopping signal.

    While nothing can be lost (start, imports, first batch; and what follows the training) the
    process ends there and then, with `INTERRUPTED`. Between `defer` and `end_deferral` the
    signal is only remembered in `signal_name`, which the training looks at;
    a second SIGINT ends it at once. One of
    several processes leaves that to its launcher: it hears a single Ctrl-C twice, from the terminal
    and from the launcher.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None
        self._deferred = False
        self._insistence = SecondInterrupt()

    def install(self) -> None:
        """Take over the stopping signals of this process; a rank also ends with its launcher."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        if is_rank():
            end_with_launcher()
        # A rank is born with them held back; one that came in the meantime is handled here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def defer(self) -> None:
        """From now on there is something to save."""
        self._deferred = True

    def end_deferral(self) -> None:
        """From now on nothing can be lost; end here if somebody has asked to."""
        self._deferred = False
        if self.signal_name:
            self._end()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = self.signal_name or signal.Signals(number).name
        insists = self._insistence.heard(number)
        if not self._deferred:
            self._end()
        if insists and not is_rank():
            exit_now(ABORTED, ABORTED_MESSAGE)

    def _end(self) -> None:
        if not is_rank():
            wait_for_requeue(str(self.signal_name), _tell)
        exit_now(INTERRUPTED, f"isnet: stopped by {self.signal_name}; the same command continues")


def _tell(text: str) -> None:
    os.write(2, f"isnet: {text}\n".encode())

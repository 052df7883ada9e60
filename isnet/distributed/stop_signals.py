"""Handles signals that stop a training, which first saves a checkpoint to resume from."""

import os
import signal
import time
from types import FrameType

from isnet.distributed.rank import end_with_launcher, exit_now, is_rank
from isnet.distributed.slurm_job import wait_for_requeue

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGURG)
"""Signals that stop a training.

Slurm sends SIGURG before the time limit, because all other processes of a job ignore it.
"""

INTERRUPTED = 75
"""Exit code (EX_TEMPFAIL) of a stopped training that the same command resumes without loss."""

ABORTED = 130
"""Exit code after a second Ctrl-C: the training resumes from its last checkpoint."""

ABORTED_MESSAGE = "isnet: stopped at once; the same command continues"

_DUPLICATE_SECONDS = 0.1


class StopRequest:
    """Handler of stop signals, which ends this process or records the signal.

    While there is nothing to save (imports, first batch, after the training), a stop signal ends
    the process with exit code `INTERRUPTED`. Between `defer` and `end_deferral`, a signal only sets
    `signal_name`, which the training polls, and a second SIGINT ends the process. A rank ignores a
    second SIGINT, because it receives each Ctrl-C twice: from the terminal and from the launcher.
    The launcher then kills its ranks.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None
        self._deferred = False
        self._first_interrupt: float | None = None

    def install(self) -> None:
        """Install the signal handlers. From now on, a rank also ends when its launcher dies."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)
        if is_rank():
            end_with_launcher()
        # The launcher starts ranks with these signals blocked: one may be pending.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def defer(self) -> None:
        """Only record stop signals from now on, because there is something to save."""
        self._deferred = True

    def end_deferral(self) -> None:
        """End the process now if a stop signal was recorded, else when the next one arrives."""
        self._deferred = False
        if self.signal_name:
            self._end()

    def record(self, number: int) -> bool:
        """Record a stop signal and return whether it is a second SIGINT.

        One Ctrl-C may arrive twice, because `timeout` signals both its child and the process group.
        A SIGINT within 0.1 s of the first is therefore not a second one.
        """
        self.signal_name = self.signal_name or signal.Signals(number).name
        if number != signal.SIGINT:
            return False
        now = time.monotonic()
        if self._first_interrupt is None:
            self._first_interrupt = now
        return now - self._first_interrupt > _DUPLICATE_SECONDS

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_second = self.record(number)
        if not self._deferred:
            self._end()
        if is_second and not is_rank():
            exit_now(ABORTED, ABORTED_MESSAGE)

    def _end(self) -> None:
        if not is_rank():
            wait_for_requeue(str(self.signal_name), _write_stderr)
        exit_now(INTERRUPTED, f"isnet: stopped by {self.signal_name}; the same command continues")


def _write_stderr(text: str) -> None:
    os.write(2, f"isnet: {text}\n".encode())

"""Ends a process when its parent dies: an orphan would keep its GPU, its memory and its locks."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Have the kernel send signal `number` to this process when its parent dies, even by SIGKILL.

    If the pid `parent` is given and that process is already dead, this process ends here.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if parent is not None and os.getppid() != parent:
        os._exit(1)

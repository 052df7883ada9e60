"""A process that ends with the one that started it: nobody would miss it, stop it, or free what it
holds.
"""

from __future__ import annotations

import ctypes
import os
import signal

__all__ = ["end_with_parent"]

_PR_SET_PDEATHSIG = 1


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Have the kernel send this process `number` when its parent has died, by SIGKILL too.

    Args:
        number: the signal.
        parent: its process id, where it is known: if it has died already, this process ends here.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if parent is not None and os.getppid() != parent:
        os._exit(1)

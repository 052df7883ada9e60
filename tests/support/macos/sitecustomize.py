"""Takes away what macOS lacks; each Python process with this folder in PYTHONPATH starts with it."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
from typing import Any

MISSING = ("sched_getaffinity", "sched_setaffinity", "posix_fallocate", "posix_fadvise")
FOREIGN = ("prctl", "mallopt", "malloc_trim")

for name in MISSING:
    with contextlib.suppress(AttributeError):
        delattr(os, name)
for name in ("sigwaitinfo", "sigtimedwait"):
    delattr(signal, name)


class _Library(ctypes.CDLL):
    """The C library without functions of Linux and glibc."""

    def __getattr__(self, name: str) -> Any:
        if name in FOREIGN:
            raise AttributeError(name)
        return super().__getattr__(name)


ctypes.CDLL = _Library  # type: ignore[misc]
multiprocessing.set_start_method("spawn")  # the default there

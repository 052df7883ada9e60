"""Large tensors in memory that the process has already, instead of new pages for each of them."""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["keep_freed_memory", "release_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK = 320 * 2**20
"""Holds any map of ResNet-50 on an image of 1024x2048. With larger ones too, what lies free between
blocks took another GiB of a view of 1792x3584, and no time less.
"""
_MOST_AT_THE_END = 512 * 2**20


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, as torch's allocator does on a GPU.

    glibc gives every large block back to the kernel, which fills the pages of the next one with
    zeros as they are touched: a quarter of the time of an ISNet on a CPU. Elsewhere than in glibc
    nothing is done.
    """
    _call("mallopt", _MMAP_THRESHOLD, _LARGEST_BLOCK)
    _call("mallopt", _TRIM_THRESHOLD, _MOST_AT_THE_END)


def release_freed_memory() -> None:
    """Give what is free back to the kernel once, where that can be asked for."""
    _call("malloc_trim", 0)


def _call(function: str, *arguments: int) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):
        getattr(ctypes.CDLL(None), function)(*arguments)

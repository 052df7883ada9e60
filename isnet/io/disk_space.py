"""Disks that are too small, or cannot be written."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from isnet.errors import UserError
from isnet.io.console import format_bytes

__all__ = ["explain_write_errors", "free_bytes", "require_free_space"]

_RESERVE = 64 << 20
"""Bytes that are left to others."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PLACES = "or set another place (data: ISNET_DATA, ImageNet weights: TORCH_HOME)"
_CURE = f"Make room there, {_PLACES}; the same command continues"


def free_bytes(folder: Path) -> int:
    """Return how much may be written to the disk of `folder`, which exists."""
    return max(shutil.disk_usage(folder).free - _RESERVE, 0)


def require_free_space(folder: Path, needed: int, what: str) -> None:
    """Compare the bytes `needed` with what is free.

    Raises:
        UserError: they do not fit.
    """
    if needed > (free := free_bytes(folder)):
        raise UserError(
            f"{what} needs {format_bytes(needed)}, and there are {format_bytes(free)} free",
            where=str(folder),
            hint=_CURE,
        )


@contextlib.contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong while `path` is written into one line.

    Raises:
        UserError: the disk or the quota is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError("the disk is full", where=str(path), hint=_CURE) from None
        raise UserError(
            f"cannot be written: {error.strerror or error}",
            where=str(path),
            hint=f"Make it writable, {_PLACES}",
        ) from None

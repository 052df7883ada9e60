"""Checks free disk space and explains failed writes to the user."""

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from isnet.errors import UserError
from isnet.io.console import format_bytes

_RESERVE = 64 << 20
"""Number of bytes that are always left free on a disk."""
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FOLDERS = "or set another folder (data: ISNET_DATA, ImageNet weights: TORCH_HOME)"
_HINT = f"Free some space, {_FOLDERS}; the same command continues"


def free_disk_bytes(folder: Path) -> int:
    """Return how many bytes may be written to the disk of an existing folder."""
    return max(shutil.disk_usage(folder).free - _RESERVE, 0)


def require_free_space(folder: Path, needed: int, what: str) -> None:
    """Raise UserError unless `needed` bytes fit on the disk of `folder`.

    In the message, `what` names the content of these bytes.
    """
    if needed > (free := free_disk_bytes(folder)):
        sizes = f"{format_bytes(needed)}, and there are {format_bytes(free)} free"
        raise UserError(f"{what} needs {sizes}", where=str(folder), hint=_HINT)


@contextlib.contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Convert an OSError of the block to a UserError that names `path`.

    The message says that the disk or the quota is full, or that the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise UserError("the disk is full", where=str(path), hint=_HINT) from None
        what = f"cannot be written: {error.strerror or error}"
        raise UserError(what, where=str(path), hint=f"Make it writable, {_FOLDERS}") from None

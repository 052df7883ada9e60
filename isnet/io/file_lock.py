"""A file that one process at a time holds, until that process and those it handed the file to are
gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

__all__ = ["LockedFile", "lock_descriptors"]

_HELD: set[int] = set()
_BUSY = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


def lock_descriptors() -> tuple[int, ...]:
    """Return the descriptors of all files held here, to pass to a process that works for this one
    (`pass_fds=`): if this process is killed, they stay held until that one has ended too.
    """
    return tuple(_HELD)


def _forget_in_child() -> None:
    """A forked loader worker that outlives its parent must not keep the parent's files."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class LockedFile:
    """A file under `flock`, which the kernel gives back when the last descriptor is closed.

    filelock does the same, but its descriptor cannot be handed to a process that works on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self) -> bool | None:
        """Take the file, without waiting: False where another process holds it, None where the
        file system has no locks.

        Raises:
            OSError: the file cannot be made.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_current = self._is(descriptor)
            except OSError as error:
                os.close(descriptor)
                if error.errno in _BUSY:
                    return False
                if error.errno in _NO_LOCKS:
                    return None
                raise
            if is_current:
                self._descriptor = descriptor
                _HELD.add(descriptor)
                return True
            os.close(descriptor)  # its holder has removed it in this moment

    def _is(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False

    def write(self, text: str) -> None:
        """Replace the content of the held file."""
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self, *, remove: bool = False) -> None:
        """Give the file back, and remove it first if asked: who waits for it makes a new one."""
        if self._descriptor is None:
            return
        if remove and self._is(self._descriptor):
            self.path.unlink()
        _HELD.discard(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None

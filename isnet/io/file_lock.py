"""Lock files that one process owns, together with the child processes it shares them with."""

import errno
import os
from pathlib import Path

from filelock import lock_descriptor

_OPEN: set[int] = set()
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL)


def lock_descriptors() -> tuple[int, ...]:
    """Return the descriptors of all files locked here, for `pass_fds=` of `subprocess.Popen`.

    If this process is killed, the files stay locked until those child processes have ended too.
    """
    return tuple(_OPEN)


def _close_in_child() -> None:
    """Drop the locks in a forked process: a data loader worker may outlive its parent."""
    for descriptor in _OPEN:
        os.close(descriptor)
    _OPEN.clear()


os.register_at_fork(after_in_child=_close_in_child)


class LockedFile:
    """A file under `flock`; the kernel unlocks it when its last descriptor is closed.

    Unlike `filelock.FileLock`, its descriptor can be passed to child processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool | None:
        """Lock the file without waiting.

        Returns:
            False if another process has locked it; None if the file system has no locks.

        Raises:
            OSError: the file cannot be created.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                is_locked = lock_descriptor(descriptor, blocking=False)
                is_removed = os.fstat(descriptor).st_nlink == 0  # by its last owner, just now
            except OSError as error:
                os.close(descriptor)
                if error.errno in _NO_LOCKS:
                    return None
                raise
            if is_locked and not is_removed:
                self._descriptor = descriptor
                _OPEN.add(descriptor)
                return True
            os.close(descriptor)
            if not is_locked:
                return False

    def write(self, text: str) -> None:
        """Replace the content of the locked file."""
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self, *, remove: bool = False) -> None:
        """Unlock the file if it is locked here; `remove` deletes it first."""
        if self._descriptor is None:
            return
        if remove and os.fstat(self._descriptor).st_nlink:
            self.path.unlink()
        _OPEN.discard(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None

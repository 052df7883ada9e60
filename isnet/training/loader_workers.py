"""Makes data loader workers ignore stop signals, and end when their parent process does.

Workers share one temporary folder, that of their parent process.
"""

import multiprocessing
import multiprocessing.util
import os
import signal
import tempfile
import threading

from isnet.distributed.rank import end_with_parent
from isnet.distributed.stop_signals import STOP_SIGNALS

_parent_masks: list[set[int]] = []


def _block_signals() -> None:
    _parent_masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS))


def _restore_mask() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _parent_masks.pop())


# A worker keeps them blocked: a signal to the process group must not end it, not even before torch
# calls `ignore_signals`.
os.register_at_fork(before=_block_signals, after_in_parent=_restore_mask)


def share_temporary_folder() -> None:
    """Create the temporary folder for the sockets of the workers that this process will start.

    It is removed when this process ends, and that of a rank with the launcher's folder. Without it,
    each worker makes a folder of its own, which stays when the worker is killed.
    """
    before = tempfile.tempdir
    tempfile.tempdir = os.environ.get("ISNET_REPORTS") or before  # removed even if a rank is killed
    multiprocessing.util.get_temp_dir()
    tempfile.tempdir = before


def ignore_signals(worker_id: int) -> None:
    """Make a data loader worker ignore stop signals except SIGTERM from its parent process.

    The worker also ends when its parent dies. This is a `worker_init_fn` of a DataLoader.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None
    end_with_parent(signal.SIGKILL, parent.pid)
    threading.Thread(target=_end_on_sigterm, args=(parent.pid,), daemon=True).start()


def _end_on_sigterm(parent: int) -> None:
    """End this worker when the process `parent` sends SIGTERM, as multiprocessing does at exit."""
    while True:
        number, sender = _wait_for_signal()
        if number == signal.SIGTERM and sender in (parent, None):
            os._exit(0)


def _wait_for_signal() -> tuple[int, int | None]:
    """Wait for a stop signal; return its number and the pid of its sender, None on macOS."""
    if hasattr(signal, "sigwaitinfo"):
        received = signal.sigwaitinfo(STOP_SIGNALS)
        return received.si_signo, received.si_pid
    return signal.sigwait(STOP_SIGNALS), None

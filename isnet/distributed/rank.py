"""Makes a rank of a run end with its launcher, and report its errors to the launcher.

The launcher prints only the first failure of its ranks, because the others usually follow from it.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from isnet.errors import UserError
from isnet.io.atomic_files import write_json

_PR_SET_PDEATHSIG = 1
_SHOW_CURSOR = "\x1b[?25h\n"  # a progress bar hides it


def is_rank() -> bool:
    """Return whether this process is a rank, by the variable LOCAL_RANK.

    isnet's launcher and torchrun set the variable. Under srun, the user has to set it.
    """
    return "LOCAL_RANK" in os.environ


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Request a signal to this process when its parent dies, even by SIGKILL.

    The kernel sends it; on macOS, which cannot, a thread does within a second. An orphan would keep
    its GPU, its memory and its locks. If `parent`, the pid of the expected parent, is given and
    that process is already dead, this one exits now.
    """
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):
        prctl(_PR_SET_PDEATHSIG, int(number))
    else:
        watched = (number, os.getppid())
        threading.Thread(target=_signal_without_parent, args=watched, daemon=True).start()
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def _signal_without_parent(number: signal.Signals, parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), number)


def end_with_launcher() -> None:
    """Make this rank end when its launcher dies.

    A rank of isnet's launcher is killed, because the launcher owns the run lock. A rank of torchrun
    gets SIGTERM, because torchrun may have died of a signal that was meant to stop the training.
    """
    if launcher := os.environ.get("ISNET_LAUNCHER"):
        end_with_parent(signal.SIGKILL, int(launcher))
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent(signal.SIGTERM)


def exit_now(status: int, text: str) -> NoReturn:
    """Print a message and exit at once; a rank reports it to isnet's launcher.

    Only the sockets of data workers are removed. Nothing is lost without more clean-up: files are
    written atomically, and the kernel releases locks and ends data workers. An exception instead
    could be swallowed by an import in progress.
    """
    rank = os.environ.get("RANK", "0")
    if reports := os.environ.get("ISNET_REPORTS"):
        report = {"status": status, "text": text, "seconds": time.monotonic()}
        with contextlib.suppress(OSError):  # the launcher, which owns the folder, has ended
            write_json(Path(reports, f"rank-{rank}.json"), report)
    elif rank == "0":
        prefix = _SHOW_CURSOR if sys.stderr.isatty() else ""
        os.write(2, f"{prefix}{text}\n".encode())
    if util := sys.modules.get("multiprocessing.util"):
        with contextlib.suppress(OSError):
            shutil.rmtree(util.get_temp_dir(), ignore_errors=True)
    os._exit(status)


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Report an error within the block to isnet's launcher and exit.

    Without that launcher, as under torchrun and srun, errors propagate.
    """
    if not os.environ.get("ISNET_REPORTS"):
        yield
        return
    try:
        yield
    except UserError as error:
        exit_now(2, f"isnet: {error}")
    except Exception:
        line = f"isnet: rank {os.environ['RANK']} (pid {os.getpid()}) failed"
        exit_now(1, f"{line}\n{traceback.format_exc().rstrip()}")

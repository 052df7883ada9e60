"""A rank of a run: its end with the launcher, and error reports. The launcher prints only the first
failure of its ranks, because the others usually follow from it.
"""

import contextlib
import ctypes
import os
import signal
import sys
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
    """Whether this process is a rank: of our launcher, torchrun, or srun with their variables."""
    return "LOCAL_RANK" in os.environ


def end_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Have the kernel send signal `number` to this process when its parent dies, even by SIGKILL.
    An orphan would keep its GPU, its memory and its locks.

    If the pid `parent` is given and that process is already dead, this process ends here.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def end_with_launcher() -> None:
    """End this rank when its launcher dies.

    Our launcher owns the run lock, so its ranks are killed with it. torchrun may have died of a
    signal that was meant to stop the training, so its ranks get SIGTERM.
    """
    if launcher := os.environ.get("ISNET_LAUNCHER"):
        end_with_parent(signal.SIGKILL, int(launcher))
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent(signal.SIGTERM)


def exit_now(status: int, text: str) -> NoReturn:
    """End this process with one line and without clean-up; a rank leaves the line to our launcher.

    Nothing is lost: files are whole or absent, and the kernel releases locks and data workers. An
    exception could be swallowed by a half-done import.
    """
    rank = os.environ.get("RANK", "0")
    if reports := os.environ.get("ISNET_REPORTS"):
        report = {"status": status, "text": text, "seconds": time.monotonic()}
        with contextlib.suppress(OSError):  # the launcher, which owns the folder, has ended
            write_json(Path(reports, f"rank-{rank}.json"), report)
    elif rank == "0":
        prefix = _SHOW_CURSOR if sys.stderr.isatty() else ""
        os.write(2, f"{prefix}{text}\n".encode())
    os._exit(status)


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Report the errors of this rank to our launcher; under torchrun and srun they propagate."""
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

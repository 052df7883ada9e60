"""A process that is one of several of a run: it leaves what it has to say about its end to the
launcher, which says it once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from isnet.distributed.node import Node
from isnet.distributed.parent_death import end_with_parent
from isnet.errors import UserError
from isnet.io.atomic_files import write_json
from isnet.settings.params import Devices

__all__ = [
    "RankReport",
    "end_with_launcher",
    "exit_now",
    "is_rank",
    "launcher_rendezvous",
    "rank_environment",
    "report_errors",
]

_LAUNCHER, _FOLDER = "ISNET_LAUNCHER", "ISNET_REPORTS"
_MEETING, _ADDRESS = "ISNET_MEETING", "ISNET_ADDRESS"
_SHOW_CURSOR = "\x1b[?25h\n"  # a progress bar hides it


def is_rank() -> bool:
    """Say whether this process is a rank: of ours, of torchrun, or of srun with its variables."""
    return "LOCAL_RANK" in os.environ


def rank_environment(
    local: int, devices: Devices, node: Node, reports: Path, meeting: Path
) -> Mapping[str, str]:
    """Return the variables that make a process a rank of this launcher.

    Args:
        local: its number on this machine.
        devices: how many there are.
        node: this machine.
        reports: an empty folder, shared by the ranks of this machine and the launcher.
        meeting: a file that is not there yet, shared by all ranks.
    """
    return {
        "RANK": str(node.index * devices.per_node + local),
        "LOCAL_RANK": str(local),
        "WORLD_SIZE": str(devices.processes),
        "LOCAL_WORLD_SIZE": str(devices.per_node),
        _LAUNCHER: str(os.getpid()),
        _FOLDER: str(reports),
        _MEETING: str(meeting),
        _ADDRESS: node.address,
    }


def launcher_rendezvous() -> tuple[str, Path] | None:
    """Return this machine's address, and the file by which the ranks of our launchers meet; None
    under torchrun and the like.
    """
    file = os.environ.get(_MEETING)
    return (os.environ[_ADDRESS], Path(file)) if file else None


def _reports() -> Path | None:
    folder = os.environ.get(_FOLDER)
    return Path(folder) if folder else None


def end_with_launcher() -> None:
    """Let this rank not outlive the process that watches over it.

    Our launcher holds the lock of the run, so its ranks are killed with it. torchrun may have died
    of a signal that was meant to stop the training: its ranks are asked to stop.
    """
    if _LAUNCHER in os.environ:
        end_with_parent(signal.SIGKILL, int(os.environ[_LAUNCHER]))
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent(signal.SIGTERM)


@dataclass(frozen=True)
class RankReport:
    """Why a rank ended, for its launcher."""

    status: int
    text: str
    seconds: float
    """When, on the machine's monotonic clock."""

    @classmethod
    def read(cls, folder: Path, rank: int) -> RankReport | None:
        """Return what a rank has reported."""
        try:
            return cls(**json.loads(_report(folder, rank).read_text()))
        except FileNotFoundError:
            return None

    def write(self, folder: Path, rank: int) -> None:
        """Leave it for the launcher."""
        write_json(_report(folder, rank), asdict(self))


def _report(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank}.json"


def exit_now(status: int, text: str) -> NoReturn:
    """End this process here and now, with one line: no handlers, no clean-up, no waiting.

    Nothing is lost by it: what is on disk is whole or absent, and locks and data workers go with
    their process. An exception could come out of a half-done import as something else.
    """
    folder = _reports()
    rank = int(os.environ.get("RANK", "0"))
    if folder is not None:
        with contextlib.suppress(OSError):  # it goes with the launcher
            RankReport(status, text, time.monotonic()).write(folder, rank)
    elif rank == 0:
        end = _SHOW_CURSOR if sys.stderr.isatty() else ""
        os.write(2, f"{end}{text}\n".encode())
    os._exit(status)


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Leave errors of this rank to its launcher: the first one is the cause of those of the others.

    Under torchrun and srun they go their usual way.
    """
    try:
        yield
    except UserError as error:
        if _reports() is None:
            raise
        exit_now(2, f"isnet: {error}")
    except Exception:
        if _reports() is None:
            raise
        who = f"isnet: rank {os.environ['RANK']} (pid {os.getpid()}) failed"
        exit_now(1, f"{who}\n{traceback.format_exc().rstrip()}")

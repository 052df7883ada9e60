"""Per-rank environment and error reports. The launcher prints only the first failure of its ranks,
because the others usually follow from it.
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

_LAUNCHER, _REPORTS = "ISNET_LAUNCHER", "ISNET_REPORTS"
_RENDEZVOUS, _ADDRESS = "ISNET_RENDEZVOUS", "ISNET_ADDRESS"
_SHOW_CURSOR = "\x1b[?25h\n"  # a progress bar hides it


def is_rank() -> bool:
    """Whether this process is a rank: of our launcher, torchrun, or srun with their variables."""
    return "LOCAL_RANK" in os.environ


def rank_environment(
    local_rank: int, devices: Devices, node: Node, reports: Path, rendezvous: Path
) -> Mapping[str, str]:
    """Return the environment variables of a rank of this launcher.

    Args:
        local_rank: its number on this node.
        devices: numbers of ranks and nodes.
        node: this node.
        reports: an empty folder, shared by the launcher and the ranks of this node.
        rendezvous: a file that does not exist yet, shared by all ranks.
    """
    return {
        "RANK": str(node.index * devices.per_node + local_rank),
        "LOCAL_RANK": str(local_rank),
        "WORLD_SIZE": str(devices.processes),
        "LOCAL_WORLD_SIZE": str(devices.per_node),
        _LAUNCHER: str(os.getpid()),
        _REPORTS: str(reports),
        _RENDEZVOUS: str(rendezvous),
        _ADDRESS: node.address,
    }


def launcher_rendezvous() -> tuple[str, Path] | None:
    """Return this node's address and the rendezvous file of our launcher; None under torchrun."""
    file = os.environ.get(_RENDEZVOUS)
    return (os.environ[_ADDRESS], Path(file)) if file else None


def end_with_launcher() -> None:
    """End this rank when its launcher dies.

    Our launcher owns the run lock, so its ranks are killed with it. torchrun may have died of a
    signal that was meant to stop the training, so its ranks get SIGTERM.
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
    """Time of the end on the machine's monotonic clock."""

    @classmethod
    def read(cls, folder: Path, rank: int) -> RankReport | None:
        """Return the report of a rank; None if it has written none."""
        try:
            return cls(**json.loads((folder / f"rank-{rank}.json").read_text()))
        except FileNotFoundError:
            return None

    def write(self, folder: Path, rank: int) -> None:
        """Write the report for the launcher."""
        write_json(folder / f"rank-{rank}.json", asdict(self))


def exit_now(status: int, text: str) -> NoReturn:
    """End this process with one line and without clean-up.

    Nothing is lost: files are whole or absent, and the kernel releases locks and data workers. An
    exception could be swallowed by a half-done import.
    """
    rank = int(os.environ.get("RANK", "0"))
    if reports := os.environ.get(_REPORTS):
        with contextlib.suppress(OSError):  # the launcher, which owns the folder, has ended
            RankReport(status, text, time.monotonic()).write(Path(reports), rank)
    elif rank == 0:
        prefix = _SHOW_CURSOR if sys.stderr.isatty() else ""
        os.write(2, f"{prefix}{text}\n".encode())
    os._exit(status)


@contextlib.contextmanager
def report_errors() -> Iterator[None]:
    """Report the errors of this rank to our launcher; under torchrun and srun they propagate."""
    if not os.environ.get(_REPORTS):
        yield
        return
    try:
        yield
    except UserError as error:
        exit_now(2, f"isnet: {error}")
    except Exception:
        line = f"isnet: rank {os.environ['RANK']} (pid {os.getpid()}) failed"
        exit_now(1, f"{line}\n{traceback.format_exc().rstrip()}")

"""Start the processes of a run: one for one, torchrun for several."""

from __future__ import annotations

import os
import subprocess
import sys

from isnet.errors import UserError
from isnet.params import Devices

__all__ = ["is_one_of_several", "launch"]


def is_one_of_several() -> bool:
    """Say whether torchrun has started this process."""
    return "LOCAL_RANK" in os.environ


def launch(arguments: list[str], devices: Devices) -> int:
    """Run `isnet ARGUMENTS` in every process of `devices` on this machine; return torchrun's exit
    code.

    The rendezvous takes a free port, so that two runs can share a machine.
    """
    if devices.nodes > 1:
        raise UserError(
            f"devices: {devices} spans {devices.nodes} machines",
            where="params.yaml: runs",
            cure="Start it through torchrun on each of them, or choose the GPUs of one machine",
        )
    cores = len(os.sched_getaffinity(0))
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // devices.per_node))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    # After --, or torchrun takes our --run for an abbreviation of one of its own options.
    command += [f"--nproc-per-node={devices.per_node}", "-m", "--", "isnet", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    return subprocess.run(command, env=environment, check=False).returncode

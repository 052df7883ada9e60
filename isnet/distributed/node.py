"""Identifies this machine among the nodes of a run."""

import os
import socket
import sys
from dataclasses import dataclass

import psutil

from isnet.errors import UserError
from isnet.settings.params import Devices

_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_STEP_ID = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_STEP_LAUNCHER_PORT", "SLURM_SRUN_COMM_PORT")


@dataclass(frozen=True)
class Node:
    """One of the nodes (machines) of a run. The defaults are for a run on one machine."""

    index: int = 0
    count: int = 1
    address: str = "127.0.0.1"
    """IP address of this node, for connections from the other nodes."""
    interface: str = _LOOPBACK
    """Network interface of the address.

    On one machine this is the loopback interface, because the host name may have no address.
    """
    step: str = ""
    """Name of the `srun` step that started the nodes, different after each requeue."""


def current_node(devices: Devices, run: str) -> Node:
    """Return this machine's node of a run, as Slurm has numbered the nodes.

    Raises UserError if the run spans several nodes and `srun` has not started one process on each.
    """
    if devices.nodes == 1:
        return Node()
    slurm = os.environ
    counts: tuple[int, ...] = ()
    if "SLURM_PROCID" in slurm and "SLURM_LAUNCH_NODE_IPADDR" in slurm:
        counts = int(slurm["SLURM_STEP_NUM_NODES"]), int(slurm["SLURM_STEP_NUM_TASKS"])
    if counts != (devices.nodes, devices.nodes):
        started = f", and srun has started {counts[1]} on {counts[0]}" if counts else ""
        raise UserError(
            f"devices: {devices} spans {devices.nodes} machines with one process each{started}",
            where=f"params.yaml: runs.{run}.devices",
            hint="Use `snakemake --workflow-profile profiles/slurm`, or in a job of your own "
            f"`srun --nodes={devices.nodes} --ntasks-per-node=1 isnet train --run {run}`",
        )
    address = _address_towards(slurm["SLURM_LAUNCH_NODE_IPADDR"])
    found = psutil.net_if_addrs().items()
    interface = next((name for name, own in found if address in [one.address for one in own]), "")
    step = "-".join(slurm.get(name, "") for name in _STEP_ID)
    return Node(int(slurm["SLURM_NODEID"]), devices.nodes, address, interface, step)


def _address_towards(other: str) -> str:
    """Return the IP address of this machine on the route to `other`, without sending a packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))
        return str(probe.getsockname()[0])

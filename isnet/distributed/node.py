"""This machine among those of a run."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import psutil

from isnet.distributed.slurm_job import current_step
from isnet.errors import UserError
from isnet.settings.params import Devices

__all__ = ["Node", "current_node"]


@dataclass(frozen=True)
class Node:
    """One of the machines that train a run together; by default the only one."""

    index: int = 0
    count: int = 1
    address: str = "127.0.0.1"
    """Of this one, where the others reach it."""
    interface: str = "lo"
    """The network interface of that address. On one machine the loopback: the host's own name may
    have no address.
    """
    meeting: str = ""
    """A name that these machines share, and no other attempt has had."""


def current_node(devices: Devices, run: str) -> Node:
    """Return which of the run's machines this is.

    Raises:
        UserError: the run spans several, and `srun` has not started one process on each.
    """
    if devices.nodes == 1:
        return Node()
    step = current_step()
    if step is None or (step.nodes, step.tasks) != (devices.nodes, devices.nodes):
        started = f", and srun has started {step.tasks} on {step.nodes}" if step else ""
        raise UserError(
            f"devices: {devices} spans {devices.nodes} machines with one process each{started}",
            where=f"params.yaml: runs.{run}.devices",
            hint="Use `snakemake --workflow-profile profiles/slurm`, or in a job of your own "
            f"`srun --nodes={devices.nodes} --ntasks-per-node=1 isnet train --run {run}`",
        )
    address = _address_towards(step.address)
    return Node(step.node, step.nodes, address, _interface_of(address), step.name)


def _address_towards(other: str) -> str:
    """Return this machine's address on the way to another one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((other, 9))
        return str(probe.getsockname()[0])


def _interface_of(address: str) -> str:
    """Return the name of the interface with `address`; empty where none has it."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(found.address == address for found in addresses):
            return str(name)
    return ""

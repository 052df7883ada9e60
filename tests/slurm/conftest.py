"""A real Slurm of this machine's own, and a small checkout whose profile is the shipped one with short waits."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from slurm_lab import Lab, SnakemakeProcess

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")


def _free_ports() -> int:
    """Return the first of four free ports."""
    while True:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            first = int(found.getsockname()[1])
        sockets = [socket.socket() for _ in range(4)]
        try:
            for number, each in enumerate(sockets):
                each.bind(("127.0.0.1", first + number))
            return first
        except (OSError, OverflowError):
            continue
        finally:
            for each in sockets:
                each.close()


@pytest.fixture(scope="session")
def slurm_lab() -> Iterator[Lab]:
    """Two nodes, two partitions; jobs of `dear` preempt those of `cheap`."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"no {missing[0]}: apt-get install slurm-wlm slurm-client munge")
    # A socket's path may have 107 characters: pytest's own folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    environment = os.environ | {
        "SLURM_LAB": str(folder),
        "SLURM_LAB_NAME": "knot",
        "SLURM_LAB_PARTITIONS": "cheap dear",
        "SLURM_LAB_PORT": str(_free_ports()),
        "SLURM_LAB_CPUS": "8",
        "SLURM_LAB_MEM": "8000",
        "SLURM_LAB_TIMEOUT": "10",
        "SLURM_LAB_REMEMBER": "15",
    }
    lab = Lab(folder, environment)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()


@pytest.fixture
def lab(slurm_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """The lab, with its programs first on PATH."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_lab.folder / "slurm.conf"))
    monkeypatch.setenv("PATH", f"{slurm_lab.folder}/bin{os.pathsep}{os.environ['PATH']}")
    yield slurm_lab
    slurm_lab.clear()


@pytest.fixture
def snakemake(lab: Lab, checkout: Path) -> Iterator[SnakemakeProcess]:
    """Runs the checkout's pipeline in the lab."""
    shipped = yaml.safe_load((checkout / "profiles/slurm/profile.yaml").read_text())
    small = {"runtime": 20, "mem_mb": 300}
    shipped["default-resources"] |= small | {"slurm_partition": "cheap"}
    for resources in shipped["set-resources"].values():
        resources |= small | (
            {"slurm_partition": "cheap"} if "slurm_partition" in resources else {}
        )
    shipped["set-threads"] = dict.fromkeys(shipped["set-threads"], 2)
    shipped |= {"slurm-init-seconds-before-status-checks": 2, "latency-wait": 5, "retries": 1}
    snakemake = SnakemakeProcess(checkout, shipped)
    yield snakemake
    snakemake.end()

"""Drives the lab's Slurm, and a `snakemake` that submits jobs to it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml

SCRIPTS = Path(__file__).parent / "lab"
PATIENCE = 240.0
"""Seconds to wait for an expected event."""


def wait_until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.2)


class Lab:
    """The Slurm cluster in `folder`; `environment` is that of its scripts."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    def start(self) -> None:
        """Start the daemons that do not run."""
        subprocess.run([SCRIPTS / "start.sh"], env=self.environment, check=True)

    def stop(self) -> None:
        subprocess.run([SCRIPTS / "stop.sh", "--purge"], env=self.environment, check=True)

    def ask(self, *words: str) -> str:
        """Return the output of one of Slurm's programs."""
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=30).stdout

    def jobs(self, name: str = "") -> list[dict[str, str]]:
        """Return Slurm's records of all jobs, or of those with one name, in order."""
        shown = self.ask("scontrol", "--oneliner", "show", "job")
        jobs = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in shown.splitlines()]
        return [job for job in jobs if "JobId" in job and name in ("", job["JobName"])]

    def ended(self) -> list[dict[str, str]]:
        """Return all jobs that have ended since the lab started."""
        lines = (self.folder / "log/jobcomp.txt").read_text().splitlines()
        return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in lines]

    def log_of(self, job: dict[str, str]) -> str:
        """Return the output of a job."""
        log = Path(job["StdOut"])
        return log.read_text(errors="replace") if log.exists() else ""

    def running(self, name: str) -> dict[str, str]:
        """Wait until a job runs, and return it."""

        found: list[dict[str, str]] = []

        def runs() -> bool:
            found[:] = [job for job in self.jobs(name) if job["JobState"] == "RUNNING"]
            return bool(found)

        wait_until(runs, f"the start of {name}")
        return found[0]

    def kill_node(self, node: str) -> None:
        """Kill a node: its daemon and all processes of its jobs."""
        here = {"SLURM_CONF": f"{self.folder}/slurm.conf", "SLURMD_NODENAME": node}
        file = self.folder / f"run/slurmd-{node}.pid"
        victims = [psutil.Process(int(file.read_text()))]
        file.unlink()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if here.items() <= process.environ().items():
                    # What watches over a step first: it is not to tell of its end.
                    victims += [each for each in process.parents() if each.name() == "slurmstepd"]
                    victims.append(process)
        for process in sorted(victims, key=lambda each: each.pid):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def clear(self) -> None:
        """Stop the daemons and jobs that still run."""
        subprocess.run(["scancel", "--quiet", f"--user={os.getuid()}"], check=False)
        wait_until(lambda: not self.ask("squeue", "--noheader"), "an empty queue")


class SnakemakeProcess:
    """`snakemake` in a checkout, with a profile."""

    def __init__(self, checkout: Path, profile: dict[str, Any]) -> None:
        self.checkout = checkout
        self.profile = profile
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> subprocess.Popen[str]:
        folder = self.checkout / "profiles/lab"
        folder.mkdir(exist_ok=True)
        (folder / "profile.yaml").write_text(yaml.safe_dump(self.profile))
        environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
        with (self.checkout / "snakemake.txt").open("w") as printed:
            process = subprocess.Popen(
                ["snakemake", "--workflow-profile", "profiles/lab", *options],
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
                env=environment,
            )
        self._started.append(process)
        return process

    def printed(self) -> str:
        return (self.checkout / "snakemake.txt").read_text()

    def finish(self, process: subprocess.Popen[str], fails: bool = False) -> str:
        """Return its whole output."""
        process.wait(timeout=400)
        assert (process.returncode != 0) == fails, self.printed()
        return self.printed()

    def run(self, *options: str, fails: bool = False) -> str:
        return self.finish(self.start(*options), fails)

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()

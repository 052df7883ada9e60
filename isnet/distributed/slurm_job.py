"""The Slurm job that this process is in: where its other nodes are, and how it goes on after a
stop.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["SlurmStep", "current_step", "is_batch_job", "job_has_ended", "wait_for_requeue"]

_log = logging.getLogger(__name__)

_BATCH = "ISNET_BATCH_JOB"
"""Set by the workflow's rules in a job of the cluster: nobody sits before it."""

_ASK_SECONDS = 15.0
_BETWEEN_LOOKS = 5.0
"""Seconds; each asks the controller of the cluster."""
_LONGEST_GRACE = 600.0
"""Seconds that a preempted job may have; who is still alive then was not preempted."""
_ENDED = ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "TIMEOUT")


def is_batch_job() -> bool:
    """Say whether this is a job of a cluster that is to go on without a person."""
    return bool(os.environ.get(_BATCH))


@dataclass(frozen=True)
class SlurmStep:
    """A step of `srun`, as one of its tasks sees it."""

    node: int
    nodes: int
    tasks: int
    address: str
    """Of the machine on which srun was started."""
    name: str
    """All tasks of the step share it, and no other step has it, also after a requeue."""


def current_step() -> SlurmStep | None:
    """Return the step that started this process; None outside of srun."""
    found = os.environ
    if "SLURM_PROCID" not in found or "SLURM_LAUNCH_NODE_IPADDR" not in found:
        return None
    identity = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_STEP_LAUNCHER_PORT", "SLURM_SRUN_COMM_PORT")
    return SlurmStep(
        node=int(found["SLURM_NODEID"]),
        nodes=int(found["SLURM_STEP_NUM_NODES"]),
        tasks=int(found["SLURM_STEP_NUM_TASKS"]),
        address=found["SLURM_LAUNCH_NODE_IPADDR"],
        name="-".join(found.get(name, "") for name in identity),
    )


def job_has_ended(job: str) -> bool:
    """Say whether Slurm has given up job number `job`; False where it does not answer."""
    answer = _ask("squeue", "--noheader", f"--jobs={job}", "--format=%T")
    if answer is None:
        return False
    if answer.returncode:
        return "Invalid job id" in answer.stderr
    return answer.stdout.strip() in ("", *_ENDED)


def wait_for_requeue(asked: str, tell: Callable[[str], None] = _log.info) -> None:
    """In a batch job, let Slurm put this very job back into its queue; return where it does not.

    Before the time limit (SIGURG, SIGUSR1) it is asked to. After SIGTERM it has already decided:
    it requeues a job that is preempted, but only if that is still there when its grace ends; one
    that exits earlier has failed.

    Args:
        asked: name of the signal that stopped the training.
        tell: reports what is done; a signal handler cannot use `logging`.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not is_batch_job() or not job or asked == "SIGINT":
        return
    if asked == "SIGTERM":
        tell(f"job {job} waits for Slurm to end or requeue it")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif os.environ.get("SLURM_NODEID", "0") == "0" and not _requeue(job, tell):
        return
    end = time.monotonic() + _LONGEST_GRACE
    while time.monotonic() < end and _is_running(job):
        time.sleep(_BETWEEN_LOOKS)


def _requeue(job: str, tell: Callable[[str], None]) -> bool:
    # What Slurm now sends is not to be heard as another stop.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    answer = _ask("scontrol", "requeue", job)
    if answer is not None and not answer.returncode:
        tell(f"job {job} goes back into the queue, and on from there")
        return True
    reason = " ".join(answer.stderr.split()) if answer else "scontrol does not answer"
    tell(f"job {job} could not be requeued ({reason})")
    return False


def _is_running(job: str) -> bool:
    answer = _ask("squeue", "--noheader", f"--jobs={job}", "--format=%T")
    return answer is None or answer.stdout.strip() == "RUNNING"


def _ask(*command: str) -> subprocess.CompletedProcess[str] | None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False
        )
    return None

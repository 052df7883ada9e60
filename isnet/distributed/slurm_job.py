"""Queries Slurm for the state of a job, and requeues the job of this process."""

import contextlib
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable

from isnet.io.message_text import one_line

_log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 15.0
"""Maximum time to wait for an answer of Slurm's controller."""
_POLL_SECONDS = 5.0
_LONGEST_GRACE_SECONDS = 600.0
"""Upper limit of the grace time of a preempted job. A job still running then was not preempted."""
_ENDED = ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "TIMEOUT")


def is_batch_job() -> bool:
    """Return whether the workflow has started this process in a batch job of a cluster."""
    return bool(os.environ.get("ISNET_BATCH_JOB"))  # set by the workflow's rules


def job_has_ended(job: str) -> bool:
    """Return whether Slurm reports the end of a job; False if Slurm does not answer."""
    answer = _state(job)
    if answer is None:
        return False
    if answer.returncode:
        return "Invalid job id" in answer.stderr
    return answer.stdout.strip() in ("", *_ENDED)


def wait_for_requeue(signal_name: str, log: Callable[[str], None] = _log.info) -> None:
    """In a batch job, request that Slurm requeue the job of this process, and wait for it.

    Return at once outside a batch job, after Ctrl-C (SIGINT), or if Slurm refuses. SIGURG and
    SIGUSR1 announce the time limit: Slurm is then asked to requeue the job. On SIGTERM, Slurm has
    already decided. It requeues a preempted job only if the job still runs at the end of its grace
    time, and counts a job that exits earlier as failed.

    `signal_name` is the signal that stopped the training. `log` receives the messages, because a
    signal handler cannot use `logging`.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if not is_batch_job() or not job or signal_name == "SIGINT":
        return
    if signal_name == "SIGTERM":
        log(f"job {job} waits for Slurm to end or requeue it")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif os.environ.get("SLURM_NODEID", "0") == "0" and not _requeue(job, log):
        return
    end = time.monotonic() + _LONGEST_GRACE_SECONDS
    while time.monotonic() < end:
        answer = _state(job)
        if answer is not None and answer.stdout.strip() != "RUNNING":
            return
        time.sleep(_POLL_SECONDS)


def _requeue(job: str, log: Callable[[str], None]) -> bool:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Slurm's next signal is not another stop request
    answer = _run("scontrol", "requeue", job)
    if answer is not None and not answer.returncode:
        log(f"job {job} goes back into the queue and resumes from its checkpoint")
        return True
    reason = one_line(answer.stderr) if answer else "scontrol does not answer"
    log(f"job {job} could not be requeued ({reason})")
    return False


def _state(job: str) -> subprocess.CompletedProcess[str] | None:
    return _run("squeue", "--noheader", f"--jobs={job}", "--format=%T")


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    return None

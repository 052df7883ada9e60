"""A training in a Slurm job requeues itself, and waits for its predecessor. Stand-ins replace Slurm's
programs; tests/slurm uses the real ones.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from log_lines import record_log

from isnet.distributed.run_lock import run_lock
from isnet.distributed.slurm_job import job_has_ended, wait_for_requeue
from isnet.errors import UserError
from isnet.io.lock_owner import LockOwner

Slurm = Callable[[str, str], None]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """A batch job 7; the returned function writes a program of Slurm's."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("ISNET_BATCH_JOB", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr("isnet.distributed.slurm_job._POLL_SECONDS", 0.05)
    monkeypatch.chdir(tmp_path)

    def write(name: str, script: str) -> None:
        file = programs / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    before = signal.getsignal(signal.SIGTERM)
    yield write
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("echo RUNNING", False),
        ("echo COMPLETING", False),
        ("echo PENDING", False),
        ("", True),
        ("echo NODE_FAIL", True),
        ("echo slurm_load_jobs error: Invalid job id specified >&2; exit 1", True),
        ("echo Unable to contact slurm controller >&2; exit 1", False),
    ],
)
def test_a_job_has_ended_only_if_slurm_reports_it(slurm: Slurm, script: str, ended: bool) -> None:
    slurm("squeue", script)
    assert job_has_ended("5") is ended


def test_before_the_time_limit_the_job_asks_to_be_requeued(slurm: Slurm) -> None:
    slurm("scontrol", 'echo "$@" > asked')
    slurm("squeue", "test -e asked && echo COMPLETING || echo RUNNING")
    said: list[str] = []
    wait_for_requeue("SIGURG", said.append)
    assert Path("asked").read_text() == "requeue 7\n"
    assert said == ["job 7 goes back into the queue and resumes from its checkpoint"]


def test_a_job_that_cannot_be_requeued_ends_at_once(slurm: Slurm) -> None:
    slurm("scontrol", "echo Requested operation is presently disabled >&2; exit 1")
    slurm("squeue", "echo RUNNING")
    said: list[str] = []
    wait_for_requeue("SIGURG", said.append)
    assert said == ["job 7 could not be requeued (Requested operation is presently disabled)"]


def test_a_preempted_job_runs_until_its_grace_time_ends(slurm: Slurm) -> None:
    slurm("squeue", "echo . >> looks; if test $(wc -l < looks) -lt 3; then echo RUNNING; fi")
    wait_for_requeue("SIGTERM", lambda line: None)
    assert len(Path("looks").read_text().split()) == 3


@pytest.mark.parametrize(("name", "asked"), [("ISNET_BATCH_JOB", "SIGTERM"), ("x", "SIGINT")])
def test_interactive_commands_do_not_wait_for_slurm(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch, name: str, asked: str
) -> None:
    monkeypatch.delenv(name, raising=False)
    slurm("squeue", "echo RUNNING")
    begun = time.monotonic()
    wait_for_requeue(asked, lambda line: pytest.fail(line))
    assert time.monotonic() - begun < 60


def test_the_lock_of_a_job_that_has_ended_elsewhere_is_taken_over(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ISNET_BATCH_JOB")
    here = LockOwner.here()
    record = tmp_path / "holder.json"
    elsewhere = here.text.replace(here.boot, "another-boot").replace('"job": "7"', '"job": "5"')
    record.write_text(elsewhere)
    slurm("squeue", "")
    with pytest.raises(UserError, match="is being trained by"), run_lock("one", tmp_path):
        pass  # its last sign of life is a second old
    os.utime(record, (time.time() - 60, time.time() - 60))
    with run_lock("one", tmp_path):
        assert LockOwner.read(record) != LockOwner.read(Path("nowhere"))


def test_a_batch_job_waits_for_the_one_before_it(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isnet.distributed.run_lock._POLL_SECONDS", 0.05)
    here = LockOwner.here()
    record = tmp_path / "holder.json"
    record.write_text(
        here.text.replace(here.boot, "another-boot").replace('"job": "7"', '"job": "5"')
    )
    slurm("squeue", "echo . >> looks; if test $(wc -l < looks) -lt 3; then echo RUNNING; fi")
    os.utime(record, (time.time() - 60, time.time() - 60))
    said = record_log()
    with run_lock("one", tmp_path):
        assert len(said) == 1
        assert said[0].startswith("waits: run one is being trained by process")

"""Trainings on a real Slurm: two nodes, preemption, time limit, failures, a dead node."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from slurm_lab import Lab, SnakemakeProcess, wait_until

Edit = Callable[[str, str], None]
pytestmark = pytest.mark.slurm
WEIGHTS = "results/runs/{}/train/weights.pth"
FEW = 40
MANY = 10_000
"""Iterations: about ten seconds, and more than the time limit allows."""


@pytest.fixture(autouse=True)
def _prepared(checkout: Path) -> None:
    """Prepare the data set, which these trainings need."""
    for stage in ("download", "convert", "pack"):
        subprocess.run(["isnet", stage, "--dataset", "streets"], check=True)


def _bits(run: str) -> str:
    """Hash of a run's weights."""
    state = torch.load(WEIGHTS.format(run), weights_only=True)
    state = state.get("state_dict", state)
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(name.encode() + state[name].numpy().tobytes())
    return found.hexdigest()


def _train(edit: Edit, iterations: int) -> None:
    """Set the length of run `one`, with a checkpoint every five steps."""
    edit("max_iters: 6, val_interval: 3", f"max_iters: {iterations}, val_interval: {iterations}")
    edit("    overrides:\n", "    overrides:\n      default_hooks: {checkpoint: {interval: 5}}\n")


def _has_checkpoint() -> bool:
    return len(list(Path("work/runs/one").glob("*/checkpoints/*.json"))) > 1


def _resumed(text: str) -> list[int]:
    """Return the iterations at which a training resumed."""
    return [int(number) for number in re.findall(r"\[train \w+\] resumes.*?(\d+)", text)]


def test_two_nodes_give_the_bits_of_two_processes_on_one(
    lab: Lab, snakemake: SnakemakeProcess, edit: Edit
) -> None:
    edit("devices: cpu", "devices: 2xcpu:1")
    edit("config: isnet/configs/fcn_", "config: isnet/configs/isnet_")
    edit("    devices: cpu\n", "    devices: cpu:2\n")
    # Each process has one thread: their number decides how sums are rounded.
    snakemake.profile["set-threads"] |= {"train": 2, "train_multinode": 1}
    snakemake.run(WEIGHTS.format("one"), WEIGHTS.format("two"))
    jobs = {job["Name"]: job for job in lab.ended()}
    assert jobs["train_multinode-one"]["NodeCnt"] == "2"
    assert jobs["train-two"]["NodeCnt"] == "1"
    assert _bits("one") == _bits("two")


def test_a_preempted_training_resumes(lab: Lab, snakemake: SnakemakeProcess, edit: Edit) -> None:
    _train(edit, FEW)
    process = snakemake.start(WEIGHTS.format("one"))
    job = lab.running("train-one")
    wait_until(_has_checkpoint, "a checkpoint")
    lab.ask("sbatch", "-p", "dear", "-N2", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 3")
    printed = snakemake.finish(process)
    assert "Trying to restart" not in printed
    log = lab.log_of(job)
    assert "DUE TO PREEMPTION" in log
    assert max(_resumed(log)) > 0


def test_a_training_at_its_time_limit_resumes_in_the_same_job(
    lab: Lab, snakemake: SnakemakeProcess, edit: Edit
) -> None:
    _train(edit, MANY)
    # Slurm counts in minutes: the signal comes after the first.
    snakemake.profile["set-resources"]["train"] |= {
        "runtime": 3,
        "slurm_extra": "'--requeue --open-mode=append --signal=URG@120'",
    }
    snakemake.start(WEIGHTS.format("one"))
    job = lab.running("train-one")
    wait_until(lambda: bool(_resumed(lab.log_of(job))), "the second start")
    assert max(_resumed(lab.log_of(job))) > 0
    assert "goes back into the queue" in lab.log_of(job)
    assert "Trying to restart" not in snakemake.printed()


def test_a_failed_training_is_retried_then_reported_and_stops_no_other(
    lab: Lab, snakemake: SnakemakeProcess, checkout: Path
) -> None:
    (checkout / "work/runs").mkdir(parents=True)
    (checkout / "work/runs/one").write_text("in the way")
    printed = snakemake.run(WEIGHTS.format("one"), WEIGHTS.format("two"), fails=True)
    attempts = [job for job in lab.ended() if job["Name"] == "train-one"][-2:]
    assert [job["JobState"] for job in attempts] == ["FAILED", "FAILED"]
    assert (checkout / WEIGHTS.format("two")).is_file()
    for job in attempts:
        log = checkout / f"logs/slurm/rule_train/one/{job['JobId']}.log"
        assert str(log) in printed
        assert "work/runs/one" in log.read_text()


def test_a_training_on_a_dead_node_resumes_on_another(
    lab: Lab, snakemake: SnakemakeProcess, edit: Edit
) -> None:
    _train(edit, MANY)
    snakemake.start(WEIGHTS.format("one"))
    job = lab.running("train-one")
    wait_until(_has_checkpoint, "a checkpoint")
    lab.kill_node(job["NodeList"])
    try:
        wait_until(lambda: bool(_resumed(lab.log_of(job))), "the second start")
        again = lab.running("train-one")
    finally:
        lab.start()
    assert max(_resumed(lab.log_of(job))) > 0
    assert again["JobId"] == job["JobId"]
    assert again["NodeList"] != job["NodeList"]
    assert "Trying to restart" not in snakemake.printed()

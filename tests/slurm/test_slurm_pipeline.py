"""`snakemake --workflow-profile profiles/slurm` on a real Slurm: the pipeline, its names, its logs, its refusals."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from slurm_lab import Lab, SnakemakeProcess

SUBMITTED = re.compile(r"Job \d+ has been submitted with SLURM jobid (\d+) \(log: (\S+)\)")


def _one_run(checkout: Path) -> None:
    params = checkout / "params.yaml"
    params.write_text(params.read_text().partition("  two:\n")[0])


@pytest.mark.slurm
def test_the_pipeline_runs_as_named_jobs(
    lab: Lab, snakemake: SnakemakeProcess, checkout: Path
) -> None:
    _one_run(checkout)
    planned = re.findall(r"Slurm job: sbatch --job-name (\S+) ", snakemake.run("-n"))
    names = ["convert-streets", "pack-streets", "baseline-streets", "train-one", "evaluate-one"]
    assert sorted(planned) == sorted(names)  # download and report stay on the head node

    printed = snakemake.run()
    assert (checkout / "reports/index.html").is_file()
    jobs = [job for job in lab.ended() if job["WorkDir"] == str(checkout)]
    assert sorted(job["Name"] for job in jobs) == sorted(names)
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    assert {job["Partition"] for job in jobs} == {"cheap"}
    submitted = SUBMITTED.findall(printed)
    assert sorted(number for number, _ in submitted) == sorted(job["JobId"] for job in jobs)
    assert all(f"{number}.log" in log and Path(log).stat().st_size for number, log in submitted)
    assert "Nothing to be done" in snakemake.run()


@pytest.mark.parametrize(
    ("resource", "value", "complaint"),
    [
        ("slurm_partition", "nowhere", "invalid partition specified: nowhere"),
        ("mem_mb", 800_000, "Requested node configuration is not available"),
    ],
)
def test_impossible_jobs_are_refused_before_anything_is_submitted(
    lab: Lab, snakemake: SnakemakeProcess, resource: str, value: str | int, complaint: str
) -> None:
    before = len(lab.jobs())
    snakemake.profile["set-resources"]["train"][resource] = value
    printed = snakemake.run(fails=True)
    assert re.search(
        rf"Slurm would not run train-(one|two) \(.*{complaint}.*\): nothing was", printed
    )
    assert printed.count(complaint) == 1
    assert "Traceback" not in printed
    assert len(lab.jobs()) == before


def test_a_wrong_account_is_one_error(
    lab: Lab, snakemake: SnakemakeProcess, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-ins replace the accounting database, which the lab does not have."""
    programs = checkout / "programs"
    programs.mkdir()
    for name, answer in (("sacct", ""), ("sacctmgr", "echo physics")):
        (programs / name).write_text(f"#!/bin/sh\n{answer}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    snakemake.profile["default-resources"]["slurm_account"] = "chemistry"
    printed = snakemake.run(fails=True)
    assert printed.count("The given account chemistry appears to be invalid") == 1
    assert "physics" in printed
    assert "Traceback" not in printed


def test_a_run_requests_the_gpus_and_nodes_of_its_devices(
    snakemake: SnakemakeProcess, checkout: Path
) -> None:
    params = checkout / "params.yaml"
    one, two = params.read_text().split("  two:\n")
    params.write_text(
        one.replace("devices: cpu", "devices: 2x1") + "  two:\n" + two.replace("cpu", "2")
    )
    snakemake.profile["set-resources"]["evaluate"]["constraint"] = "'a100'"
    printed = snakemake.run("-n", "--cores", "1")
    lines = dict(re.findall(r"Slurm job: sbatch --job-name (\S+) (.*)", printed))
    assert "--gres" not in lines["pack-streets"]
    assert "--cpus-per-task=8 " in lines["train-two"]
    assert "--gres=gpu:2" in lines["train-two"]
    assert "--nodes" not in lines["train-two"]
    assert "--nodes=2 --ntasks=2 --cpus-per-task=4 " in lines["train_multinode-one"]
    assert "--gres=gpu:1" in lines["train_multinode-one"]
    assert "--gres=gpu:1" in lines["evaluate-one"]
    assert "-C a100" in lines["evaluate-one"]
    assert "--gpus" not in printed
    assert "srun --nodes=2 --ntasks-per-node=1 --cpus-per-task=4" in printed

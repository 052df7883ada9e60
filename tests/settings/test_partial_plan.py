"""A wrong entry of params.yaml, or a wrong description, stops only the commands that need it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pretended_run import pretend_finished

from isnet.cli import main
from isnet.errors import UserError
from isnet.settings.partial_plan import plan_of_part, plan_without_wrong_entries

Edit = Callable[[str, str], None]

WRONG_RUNS = {
    "a wrong value": ("    seed: 0\n", "    seed: zero\n"),
    "no such config": ("isnet_res18-half_1xb2-1300_streets", "isnet_res18-half_1xb4-1_streets"),
    "no such data set": ("dataset: streets\n    config: isnet/configs/isnet", "dataset: no\n    config: isnet/configs/isnet"),
    "starts from nothing": ("    seed: 0\n", "    seed: 0\n    init_from: {run: none}\n"),
}  # fmt: skip
OWN = "  own: {kind: folder, source: [pictures], description: datasets/own.yaml}\nruns:"


@pytest.fixture
def wrong_description(checkout: Path, edit: Edit) -> Path:
    edit("runs:", OWN)
    path = checkout / "datasets/own.yaml"
    path.write_text("image: i/{split}/{name}.png\nlabel: l/{split}/{name}.png\nclasses: {a: 1}\n")
    return path


def test_a_data_set_is_downloaded_without_any_run(checkout: Path) -> None:
    path = checkout / "params.yaml"
    path.write_text(path.read_text().partition("runs:")[0] + "runs: {}\n")
    assert main(["download", "--dataset", "streets"]) == 0
    assert (checkout / "results/datasets/streets/source.json").is_file()
    assert main(["check"]) == 2


def test_a_wrong_description_stops_only_its_data_set(
    wrong_description: Path, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", "--dataset", "streets"]) == 0
    told = capsys.readouterr()
    assert "this concerns others: datasets/own.yaml: classes: should be a list" in told.err
    assert (checkout / "work/settings/datasets/streets.json").is_file()
    assert main(["download", "--dataset", "own"]) == 2
    error = capsys.readouterr().err
    assert (
        error == "isnet: datasets/own.yaml: classes: should be a list, got {'a': 1}. Write a list\n"
    )


@pytest.mark.parametrize("case", WRONG_RUNS)
def test_a_wrong_run_stops_only_itself(
    case: str, checkout: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check"]) == 0
    kept = (checkout / "work/settings/runs/one.train.json").read_bytes()
    edit(*WRONG_RUNS[case])
    assert set(plan_of_part(run="two").runs) == {"two"}
    with pytest.raises(UserError, match=r"params\.yaml: runs\.one"):
        plan_of_part(run="one")
    capsys.readouterr()
    assert main(["status"]) == 2
    told = capsys.readouterr()
    assert "two " in told.out
    assert "one " not in told.out
    assert told.err.startswith("isnet: params.yaml: runs.one")
    assert told.err.count("\n") == 1
    assert (checkout / "work/settings/runs/one.train.json").read_bytes() == kept


@pytest.mark.parametrize("case", WRONG_RUNS)
def test_commands_on_all_runs_go_on_without_a_wrong_one(
    case: str, checkout: Path, empty_store: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(empty_store, checkout / "mlflow.db")
    assert main(["check"]) == 0
    kept = (checkout / "work/settings/report.json").read_bytes()
    pretend_finished(checkout, "two", 0.5, weights="")
    edit(*WRONG_RUNS[case])
    for command, done in (
        (["track", "sync"], "1 of 1 runs are in MLflow"),
        (["weights", "fetch"], "nothing to download"),
    ):
        capsys.readouterr()
        assert main(command) == 2
        error = capsys.readouterr().err
        assert done in error
        assert "params.yaml: runs.one" in error.splitlines()[-1]
    assert (checkout / "work/settings/report.json").read_bytes() == kept
    assert main(["check"]) == 2


def test_the_report_and_its_table_are_of_the_correct_runs(
    checkout: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("    seed: 0\n", "    seed: zero\n")
    assert main(["results"]) == 2
    told = capsys.readouterr()
    assert "missing  two: " in told.out
    assert "one" not in told.out
    assert told.err.startswith("isnet: params.yaml: runs.one.seed")
    assert main(["report"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("isnet: params.yaml: runs.one.seed")


def test_where_all_runs_are_wrong_each_is_told(
    checkout: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        edit("    devices: cpu\n", "    devices: none\n")
    for command in ("status", "results", "report"):
        assert main([command]) == 2
        assert capsys.readouterr().err.startswith("isnet: params.yaml: runs.one.devices: ")


@pytest.mark.parametrize("case", WRONG_RUNS)
def test_a_sweep_of_another_run_is_possible(
    case: str, checkout: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(*WRONG_RUNS[case])
    before = (checkout / "params.yaml").read_text()
    assert main(["sweep", "one", "-S", "seed=1,2"]) == 2
    assert (checkout / "params.yaml").read_text() == before
    capsys.readouterr()
    assert main(["sweep", "two", "-S", "seed=1,2"]) == 0
    told = capsys.readouterr()
    assert "2 runs added that vary two" in told.out
    assert "this concerns others: params.yaml: runs.one" in told.err
    plan = plan_without_wrong_entries()
    assert len(plan.runs) == 3
    assert set(plan.wrong) == {"runs.one"}


def test_a_sweep_over_a_wrong_data_set_is_refused(
    wrong_description: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "two", "-S", "dataset=streets,own"]) == 2
    assert capsys.readouterr().err.startswith("isnet: datasets/own.yaml: classes: should be a list")


def test_a_run_needs_the_run_that_it_starts_from(checkout: Path, edit: Edit) -> None:
    edit("    seed: 0\n", "    seed: 0\n    init_from: {run: two}\n")
    assert set(plan_of_part(run="one").runs) == {"one", "two"}
    edit("runs:\n", "runs:\n  three: {dataset: streets, config: none.py}\n")
    plan = plan_without_wrong_entries()
    assert set(plan.runs) == {"one", "two"}
    assert set(plan.wrong) == {"runs.three"}


def test_an_unknown_name_is_told_with_the_known_ones(checkout: Path, edit: Edit) -> None:
    edit("    seed: 0\n", "    seed: zero\n")
    with pytest.raises(UserError, match=r"there is no run 'twoo'\. Did you mean 'two'\?"):
        plan_of_part(run="twoo")
    with pytest.raises(UserError, match=r"no data set 'x'\. Defined are: streets"):
        plan_of_part(dataset="x")


@pytest.mark.parametrize("extra", [["--config", "anything=1"], ["--configfile", "more.yaml"]])
def test_snakemake_refuses_settings_that_nothing_reads(checkout: Path, extra: list[str]) -> None:
    (checkout / "more.yaml").write_text("anything: 1\n")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", *extra]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert (
        "anything=1: nothing reads it. Write settings into params.yaml"
        in ended.stdout + ended.stderr
    )

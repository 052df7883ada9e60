"""Snakemake and DVC over one checkout: the same commands, nothing done twice, one change one retraining."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from given_weights import various
from programs import call

Edit = Callable[[str, str], None]


def _conduct(name: str) -> str:
    return call("snakemake", "--cores", "2") if name == "snakemake" else call("dvc", "repro")


def _found_nothing_to_do(printed: str) -> bool:
    """Whether no stage was run. DVC always starts with the check of the settings."""
    return "Nothing to be done" in printed or _commands(printed) == {"isnet check"}


def _trained(printed: str) -> list[str]:
    """Names of the runs that were really trained, not adopted."""
    return sorted(re.findall(r"\[train (\w+)\] starts: ", printed))


def _evaluated(printed: str) -> bool:
    """Whether any weights were scored anew: an adopted evaluation says that there is nothing to do."""
    stages = re.findall(r"\[evaluate (\w+)\] mIoU", printed)
    adopted = re.findall(r"\[evaluate (\w+)\] has nothing to do", printed)
    return sorted(stages) != sorted(adopted)


def _commands(printed: str) -> set[str]:
    return set(re.findall(r"(?:Shell command: |> )(isnet .+)", printed))


def test_both_engines_name_the_same_commands(checkout: Path) -> None:
    snakemake = _commands(call("snakemake", "-n"))
    planned = set()
    for entry in call("dvc", "stage", "list", "--name-only").split():
        stage, _, name = entry.partition("@")
        option = "--dataset" if stage in ("download", "convert", "pack", "baseline") else "--run"
        planned.add(f"isnet {stage} {option} {name}" if name else f"isnet {stage}")
    assert planned - {"isnet check"} == snakemake


def test_snakemake_plans_the_run_that_another_one_starts_from(checkout: Path, edit: Edit) -> None:
    edit("  one:\n", "  one:\n    init_from: {run: two}\n")
    planned = _commands(call("snakemake", "-n", "results/runs/one/train/weights.pth"))
    assert {"isnet train --run one", "isnet train --run two"} <= planned


@pytest.mark.engines
def test_a_run_is_trained_before_those_that_start_from_it(checkout: Path, edit: Edit) -> None:
    edit("  one:\n", "  one:\n    init_from: {run: two}\n")
    of_dvc = ("dvc", "repro", "train@one")
    of_snakemake = ("snakemake", "--cores", "2", "results/runs/one/train/weights.pth")
    printed = call(*of_dvc)
    assert printed.index("trains two first") < printed.index("starts from run two")
    assert _found_nothing_to_do(call(*of_snakemake))
    path = checkout / "params.yaml"
    head, _, tail = path.read_text().partition("  two:\n")
    path.write_text(f"{head}  two:\n{tail.replace('seed: 0', 'seed: 1', 1)}")
    assert _trained(call(*of_snakemake)) == ["one", "two"]
    assert _trained(call(*of_dvc)) == []


@pytest.mark.engines
def test_a_run_with_given_weights_is_scored_by_both_and_nothing_trains(
    checkout: Path, weights: Path
) -> None:
    file, params = checkout / "given.pth", checkout / "params.yaml"
    shutil.copy(weights, file)
    head = params.read_text().partition("runs:\n")[0]
    config = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"
    run = f"dataset: streets, config: {config}, overrides: {{evaluation: {{multi_scale: null}}}}"
    params.write_text(f"{head}runs:\n  given: {{{run}, weights: given.pth}}\n")

    def imported(printed: str) -> int:
        return len(re.findall(r"\[train given\] weights of given.pth .*not trained here", printed))

    printed = _conduct("snakemake")
    assert imported(printed) == 1 and _evaluated(printed)
    assert "isnet pack" not in printed
    assert not list(Path("work/runs").rglob("checkpoints"))
    assert _found_nothing_to_do(_conduct("snakemake"))
    printed = _conduct("dvc")
    assert not imported(printed) and not _evaluated(printed)
    assert _found_nothing_to_do(_conduct("dvc"))
    assert _found_nothing_to_do(_conduct("snakemake"))

    torch.save({"state_dict": various(weights)}, file)
    printed = _conduct("dvc")
    assert imported(printed) == 1 and _evaluated(printed)
    printed = _conduct("snakemake")
    assert not imported(printed) and not _evaluated(printed)
    page = Path("reports/index.html").read_text()
    assert "given: weights of given.pth (sha256 " in page
    call("dvc", "plots", "show")
    assert "mIoU" in call("dvc", "metrics", "show")
    exported = call("isnet", "export", "results/runs/given/train/weights.pth", "--format", "torch")
    assert "weights of given.pth" in exported

    params.write_text(
        f"{head}runs:\n  given: {{{run}, weights: {{run: other}}}}\n  other: {{{run}, weights: given.pth}}\n"
    )
    target = "results/runs/given/train/weights.pth"
    assert {"isnet train --run given", "isnet train --run other"} <= _commands(call("snakemake", "-n", target))  # fmt: skip
    assert "trains other first, to score its weights" in call("dvc", "repro", "train@given")

    file.unlink()
    for words in (("snakemake", "--cores", "1"), ("dvc", "repro")):
        assert "runs.other.weights: there is no file given.pth" in call(*words, fails=True)


def _adopted(first: str, second: str, edit: Edit) -> dict[str, float]:
    """Let one workflow engine do all and the other adopt it; return the scores of run one.

    Then neither has anything left to do, also after a comment in params.yaml.
    """
    printed = _conduct(first)
    assert _trained(printed) == ["one", "two"]
    scores = _scores()
    assert Path("reports/index.html").is_file()
    assert _found_nothing_to_do(_conduct(first))

    told = _told_to_mlflow()
    printed = _conduct(second)
    assert _told_to_mlflow() == told  # nothing is sent again: nothing opens MLflow
    assert _trained(printed) == []
    assert not _evaluated(printed)
    assert _scores() == scores
    edit("tracking:\n", "# a comment re-runs nothing\ntracking:\n")
    assert _found_nothing_to_do(_conduct(second))
    assert _found_nothing_to_do(_conduct(first))
    return scores


def _told_to_mlflow() -> dict[Path, int]:
    """The notes of what was sent, and when they were written."""
    return {note: note.stat().st_mtime_ns for note in Path("work").rglob("mlflow.json")}


def _scores() -> dict[str, float]:
    scores: dict[str, float] = json.loads(Path("results/runs/one/evaluate/scores.json").read_text())
    return scores


@pytest.mark.engines
def test_snakemake_adopts_what_dvc_has_done(checkout: Path, edit: Edit) -> None:
    _adopted("dvc", "snakemake", edit)


def test_dvc_adopts_what_snakemake_has_done_and_reports_and_one_change_is_one_training(
    checkout: Path, edit: Edit
) -> None:
    scores = _adopted("snakemake", "dvc", edit)
    _assert_snakemake_draws_and_packs_its_report()

    edit("    seed: 0\n", "    seed: 1\n")
    assert _trained(_conduct("snakemake")) == ["one"]
    assert _trained(_conduct("dvc")) == []

    edit("    seed: 1\n", "    seed: 0\n")
    assert _trained(_conduct("dvc")) == []  # the first training is still there
    assert _scores() == scores
    assert _trained(_conduct("snakemake")) == []


@pytest.mark.engines
def test_a_change_in_a_config_retrains_its_run_after_the_other_engine(checkout: Path) -> None:
    config = checkout / "isnet/configs/fcn_res18-half_1xb2-1300_streets-128x256.py"
    assert _trained(_conduct("dvc")) == ["one", "two"]
    config.write_text(config.read_text() + "\noptim_wrapper = dict(optimizer=dict(lr=0.01))\n")
    assert _trained(_conduct("snakemake")) == ["two"]
    assert _trained(_conduct("dvc")) == []
    config.write_text(config.read_text() + "\nevaluation = dict(multi_scale=dict(flip=False))\n")
    printed = _conduct("dvc")
    assert _trained(printed) == []
    metrics = json.loads(Path("results/runs/two/evaluate/metrics.json").read_text())
    assert metrics["multi_scale_flip"]["flip"] is False


def test_a_wrong_setting_stops_both_with_one_line(checkout: Path, edit: Edit) -> None:
    edit("    seed: 0\n", "    sed: 0\n")
    line = "params.yaml: runs.one.sed: unknown key. Did you mean 'seed'?"
    printed = call("snakemake", "--cores", "1", fails=True)
    assert line in printed
    assert "Traceback" not in printed
    printed = call("dvc", "repro", fails=True)
    assert line in printed
    assert "failed to reproduce 'check'" in printed
    assert not Path("data").exists()


def _assert_snakemake_draws_and_packs_its_report() -> None:
    assert "digraph snakemake_dag" in call("snakemake", "--dag")
    call("snakemake", "--report", "report.zip")
    with zipfile.ZipFile("report.zip") as report:
        assert any(name.endswith("report.html") for name in report.namelist())


@pytest.mark.engines
def test_dvc_experiments_train_the_changed_run_and_show_its_numbers(checkout: Path) -> None:
    _conduct("dvc")
    git = ("git", "-c", "user.name=test", "-c", "user.email=test@example.invalid")
    call(*git, "add", "-A")
    call(*git, "commit", "-qm", "lock")
    shorter = "runs.one.overrides.train_cfg.max_iters=5"
    printed = call("dvc", "exp", "run", "-S", shorter, "-n", "shorter")
    assert _trained(printed) == ["one"]

    call("dvc", "exp", "run", "--queue", "-S", "runs.two.seed=7", "-n", "queued")
    assert _trained(call("dvc", "exp", "run", "--run-all")) == ["two"]

    shown = json.loads(call("dvc", "exp", "show", "--json"))
    scores = _experiment_scores(shown)
    assert {"shorter", "queued"} <= scores.keys()
    assert all(0 <= value <= 1 for value in scores.values())
    assert "mIoU" in call("dvc", "metrics", "show")
    call("dvc", "plots", "show")
    assert Path("dvc_plots/index.html").is_file()
    assert "train@one" in call("dvc", "dag")


def _experiment_scores(shown: Sequence[dict[str, object]]) -> dict[str, float]:
    """mIoU of run one in each named experiment of `dvc exp show --json`."""
    scores: dict[str, float] = {}
    for commit in shown:
        for experiment in commit.get("experiments") or []:
            for revision in experiment["revs"]:
                metrics = revision["data"]["metrics"]
                values = metrics["results/runs/one/evaluate/scores.json"]["data"]
                scores[experiment["name"]] = values["mIoU"]
    return scores

"""Why a run is not in the report: from what is on disk to a reason, a command and a log."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from isnet.cli import main
from isnet.io.lock_owner import LockOwner
from isnet.pipeline.missing_runs import missing_runs
from isnet.settings.params import load_params
from isnet.settings.plan import Plan

Edit = Callable[[str, str], None]
DIGEST, WEIGHTS = "d" * 64, "a" * 64
TRAIN, EVALUATE = "isnet train --run one", "isnet evaluate --run one"


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _finished() -> Path:
    """Both runs trained and evaluated; return the private folder of run one."""
    plan = Plan.of(load_params())
    manifest = {"key": plan.dataset_key("streets"), "digest": DIGEST}
    _write(plan.layout.dataset_results("streets") / "manifest.json", manifest)
    for name in ("two", "one"):
        key = plan.train_key(name, DIGEST)
        work = plan.layout.run_work(name, key)
        trained = {"key": key, "weights_sha256": WEIGHTS, "manifest_digest": DIGEST}
        trained |= {"iterations": 6}
        for folder in (work / "train", plan.layout.train_results(name)):
            _write(folder / "train.json", trained)
        _write(plan.layout.evaluate_results(name) / "metrics.json", {"weights_sha256": WEIGHTS})
        (work / f"evaluate-{plan.evaluate_key(name, WEIGHTS, DIGEST)}").mkdir()
    return work


def _log(stage: str, name: str, *lines: str) -> str:
    log = Path(f"logs/{stage}/{name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("".join(f"2026-11-22T17:00:00+00:00 {line}\n" for line in lines))
    return str(log)


def _told() -> list[tuple[str, str, str, str, str]]:
    found = missing_runs(Plan.of(load_params()))
    return [(entry.run, entry.why, entry.command, entry.log, entry.last_line) for entry in found]


def test_finished_runs_are_not_missing(checkout: Path) -> None:
    _finished()
    assert _told() == []


def test_scores_that_came_from_another_machine_are_shown(checkout: Path) -> None:
    shutil.rmtree(next(_finished().glob("evaluate-*")))
    assert _told() == []


def test_a_run_that_was_never_started_has_no_log(checkout: Path) -> None:
    shutil.rmtree(_finished().parent)
    shutil.rmtree("results/runs/one")
    _log("train", "one", "of another training, long ago")
    assert _told() == [("one", "never trained", TRAIN, "", "")]


def test_an_interrupted_run_goes_on_at_its_checkpoint(checkout: Path) -> None:
    work = _finished()
    shutil.rmtree(work / "train")
    shutil.rmtree("results/runs/one")
    (work / "checkpoints").mkdir()
    (work / "checkpoints/iteration-4.pth").touch()
    log = _log("train", "one", "starts", "stopped at iteration 4 by SIGTERM")
    why = "interrupted, resumes at iteration 4 of 6"
    assert _told() == [("one", why, TRAIN, log, "stopped at iteration 4 by SIGTERM")]


def test_a_run_that_trains_is_not_called_a_failure(checkout: Path) -> None:
    work = _finished()
    shutil.rmtree(work / "train")
    shutil.rmtree("results/runs/one")
    (work / "holder.json").write_text(LockOwner.here().text)
    [(_, why, *_)] = _told()
    assert why.startswith("training now (")
    assert why.endswith(f":{os.getpid()}), at iteration 0 of 6")


def test_a_run_that_failed_at_once_is_told_from_one_that_never_began(checkout: Path) -> None:
    work = _finished()
    shutil.rmtree(work / "train")
    shutil.rmtree("results/runs/one")
    log = _log("train", "one", "starts from nowhere.pth")
    why = "stopped before its first iteration"
    assert _told() == [("one", why, TRAIN, log, "starts from nowhere.pth")]


def test_results_of_other_settings_are_not_shown_as_those_of_the_present(
    checkout: Path, edit: Edit
) -> None:
    _finished()
    edit("    seed: 0\n", "    seed: 1\n")
    assert _told() == [("one", "trained with other settings or data only", TRAIN, "", "")]


@pytest.mark.parametrize(
    ("gone", "why", "command"),
    [
        (
            "train/train.json",
            "trained, but its files in results/ are missing or of other settings",
            TRAIN,
        ),
        (
            "evaluate/metrics.json",
            "evaluated, but its scores in results/ are missing or of other weights",
            EVALUATE,
        ),
    ],
)
def test_what_a_engine_deleted_is_made_again(
    checkout: Path, gone: str, why: str, command: str
) -> None:
    _finished()
    (Path("results/runs/one") / gone).unlink()
    assert _told() == [("one", why, command, "", "")]


def test_a_failed_evaluation_names_its_log(checkout: Path) -> None:
    work = _finished()
    shutil.rmtree(next(work.glob("evaluate-*")))
    Path("results/runs/one/evaluate/metrics.json").unlink()
    log = _log("evaluate", "one", "out of memory")
    assert _told() == [("one", "trained, but not evaluated", EVALUATE, log, "out of memory")]


def test_runs_without_data_name_the_stage_of_the_data_set(checkout: Path) -> None:
    _finished()
    Path("results/datasets/streets/manifest.json").unlink()
    log = _log("download", "streets", "no answer")
    why = "never trained: data set streets is not downloaded"
    command = "isnet download --dataset streets"
    assert _told() == [(run, why, command, log, "no answer") for run in ("one", "two")]


def test_the_terminal_names_what_is_missing(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report"]) == 0
    assert "[report all] 2 of 2 runs are missing: one (never trained" in capsys.readouterr().err
    assert main(["results"]) == 0
    line = "missing  one: never trained: data set streets is not downloaded; `isnet download"
    assert line in capsys.readouterr().out

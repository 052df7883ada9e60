"""TensorBoard's own reader finds the records of the journal in the event files, each once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from log_lines import record_log
from pretended_run import pretend_finished, score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tracker_lab import Training, wait_for_all

from isnet.cli import main
from isnet.tracking.curve_thinning import rows_of
from isnet.tracking.journal import journal_records


@pytest.fixture
def logs(checkout: Path) -> Path:
    """The event files of a checkout whose params.yaml switches TensorBoard on."""
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("tracking:\n", "tracking:\n  tensorboard: true\n"))
    return checkout / "work/tensorboard"


def _points(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of the points of each curve, as TensorBoard shows them."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    tags = reader.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in tags}


def _files(folder: Path) -> list[Path]:
    """Return the event files that have content."""
    return [file for file in folder.glob("*tfevents*") if file.stat().st_size]


def _journal_points(*files: Path) -> dict[str, list[tuple[int, Any]]]:
    found: dict[str, list[tuple[int, Any]]] = {}
    for record in (record for file in files for record in journal_records(file)):
        for key, value, _, step in rows_of(record):
            found.setdefault(key, []).append((step, pytest.approx(value)))
    return found


def _wait_for(folder: Path, step: int) -> None:
    while not (folder.is_dir() and (step, pytest.approx(1 / step)) in _points(folder).get("train/loss", [])):  # fmt: skip
        time.sleep(0.2)


def test_a_resumed_training_has_the_points_of_its_journal_while_it_runs_and_at_its_end(
    checkout: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_all(monkeypatch)
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # where a database file is not written
    lines = record_log()
    training = Training(checkout)
    folder = logs / "one" / training.key
    with training.track():
        training.go(1, 5)
        _wait_for(folder, 5)
    first = _points(folder)
    assert first == _journal_points(training.journal.path)
    with training.track() as tracking:
        training.journal.rewind(2)
        training.journal.append({"kind": "train", "iteration": 3, "time": 0.0, "loss": 7.0})
        training.go(4, 6)
        training.write_results()
    tracking.finish()
    resumed = _points(folder)
    assert resumed.pop("final/train_seconds") == [(6, 2.0)]
    assert resumed == _journal_points(training.journal.path)
    assert resumed["train/loss"][2] == (3, 7.0)
    assert len(_files(folder)) == 1
    assert lines == []


def test_a_reader_that_has_the_points_of_before_a_resume_drops_them(
    checkout: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_all(monkeypatch)
    training = Training(checkout)
    with training.track():
        training.go(1, 6)
    reader = EventAccumulator(str(logs / "one" / training.key), size_guidance={"scalars": 0})
    reader.Reload()
    with training.track():
        training.journal.rewind(3)
    reader.Reload()
    assert [event.step for event in reader.Scalars("train/loss")] == [1, 2, 3]


def test_sync_writes_finished_runs_their_scores_and_what_was_deleted_or_damaged(
    checkout: Path, logs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_finished(checkout, "one", 0.25, weights="")
    work, folder = checkout / "work/runs/one/one-key", logs / "one/one-key"
    system = '{"kind": "system", "sample": 0, "time": 1e9, "cpu_cores": 1.5}\n'
    (work / "system.jsonl").write_text(system)
    assert main(["track", "sync"]) == 0
    assert "1 of 1 runs that have ended are in TensorBoard" in capsys.readouterr().err
    points = _points(folder)
    assert points["final/mIoU"] == [(2, 0.25)]
    expected = _journal_points(work / "journal.jsonl", work / "system.jsonl")
    assert {k: v for k, v in points.items() if not k.startswith("final/")} == expected

    before = _files(folder)
    assert main(["track", "sync"]) == 0
    assert _files(folder) == before

    [file] = before
    file.write_bytes(file.read_bytes()[:90])
    (folder / "isnet.json").unlink()  # a killed process writes none
    score(checkout, "one", 0.5)
    assert main(["track", "sync"]) == 0
    again = _points(folder)
    assert again["final/mIoU"] == [(2, 0.5)]
    assert {k: v for k, v in again.items() if not k.startswith("final/")} == expected


def test_a_folder_that_cannot_be_written_costs_one_line_and_no_training(
    checkout: Path, logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_for_all(monkeypatch)
    logs.parent.mkdir(exist_ok=True)
    logs.write_text("a file")
    lines = record_log()
    training = Training(checkout)
    training.run_tracked()
    [line] = lines
    assert line.startswith("TensorBoard could not be updated (NotADirectoryError")
    assert line.endswith("`isnet track sync` sends it later")
    assert main(["track", "sync"]) == 1
    assert "1 of 1 runs are in MLflow" in capsys.readouterr().err
    logs.unlink()
    assert main(["track", "sync"]) == 0
    assert len(_points(logs / "one" / training.key)["train/loss"]) == 6

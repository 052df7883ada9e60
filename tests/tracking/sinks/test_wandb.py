"""Offline runs of Weights & Biases contain the records of the journal, each once."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from log_lines import record_log
from pretended_run import pretend_finished
from tracker_lab import Training, wait_for_all

from isnet.cli import main
from isnet.pipeline.runs_to_track import current_record
from isnet.pipeline.sink_updates import curve_sinks
from isnet.tracking.curve_thinning import rows_of
from isnet.tracking.journal import journal_records
from isnet.tracking.sinks.sink_upload import SinkUpload

pytest.importorskip("wandb")


@pytest.fixture(autouse=True)
def _offline(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # a training writes no database file of MLflow
    params = checkout / "params.yaml"
    params.write_text(params.read_text().replace("tracking:\n", "tracking:\n  wandb: true\n"))


def _records(file: Path) -> Iterator[Any]:
    """Yield the records of a `.wandb` file, which has the format of a LevelDB log."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = file.read_bytes(), 7, b""
    assert content[:4] == b":W&B"
    while at + 7 <= len(content):
        left = -at % 32768
        if 0 < left < 7:  # the end of a block
            at += left
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            yield Record.FromString(parts)
            parts = b""


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's history, without wandb's own columns."""
    rows = [_values(r.history.item) for r in _records(file) if r.HasField("history")]
    return [{key: value for key, value in row.items() if key[0] != "_"} for row in rows]


def _journal_rows(journal: Path) -> list[dict[str, Any]]:
    rows = []
    for record in journal_records(journal):
        prefix = "val" if record["kind"] == "validation" else "train"
        values = {key: value for key, value, _, _ in rows_of(record)}
        rows.append(values | {f"{prefix}/iteration": record["iteration"]})
    return rows


def test_an_offline_run_is_that_of_the_journal_also_after_a_resume(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_all(monkeypatch)
    lines = record_log()
    training = Training(checkout)
    with training.track():
        training.go(1, 5)
    [file] = (checkout / "work/wandb").glob(f"offline-run-*-{training.key}/*.wandb")
    assert _rows(file) == _journal_rows(training.journal.path)
    with training.track() as tracking:
        training.journal.rewind(2)
        training.go(3, 6)
        training.write_results()
    tracking.finish()
    [file] = (checkout / "work/wandb").glob(f"offline-run-*-{training.key}/*.wandb")
    assert _rows(file) == _journal_rows(training.journal.path)
    assert lines == []


def test_sync_brings_settings_curves_and_scores_of_finished_runs(checkout: Path) -> None:
    pretend_finished(checkout, "one", 0.25, weights="")
    assert main(["track", "sync"]) == 0
    [file] = (checkout / "work/wandb").glob("offline-run-*-one-key/*.wandb")
    assert _rows(file) == _journal_rows(checkout / "work/runs/one/one-key/journal.jsonl")
    records = list(_records(file))
    [run] = [record.run for record in records if record.HasField("run")]
    assert (run.project, run.display_name, run.run_id) == ("isnet", "one", "one-key")
    assert _values(run.config.update)["seed"] == "0"
    summary: dict[str, Any] = {}
    for record in records:
        summary |= _values(record.summary.update)
    assert summary["final/mIoU"] == 0.25
    assert main(["track", "sync"]) == 0
    assert list((checkout / "work/wandb").glob("offline-run-*/*.wandb")) == [file]


def test_a_run_that_cannot_be_sent_costs_one_line_and_no_training(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Online with nothing that answers."""
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    lines = record_log()
    Training(checkout).run_tracked()
    [line] = lines
    assert line.startswith("Weights & Biases ")
    assert line.endswith("`isnet track sync` sends it later")
    assert "0123456789" not in line


class _ContinuedRun:
    """A run as a server gives it back: its summary tells what has arrived."""

    offline = False

    def __init__(self) -> None:
        self.summary = {"train/iteration": 4, "val/iteration": 3}
        self.rows: list[dict[str, Any]] = []

    def define_metric(self, name: str, step_metric: str) -> None: ...

    def log(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def finish(self, exit_code: int) -> None: ...


def test_a_run_on_a_server_gets_only_the_steps_that_have_not_arrived(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, training = _ContinuedRun(), Training(checkout)
    monkeypatch.setattr("wandb.init", lambda **_: run)
    training.go(1, 6)
    record = current_record(training.plan, "one")
    assert record is not None
    sinks = curve_sinks(training.plan)
    SinkUpload("Weights & Biases", record, sinks).finish(record)
    assert run.rows == _journal_rows(training.journal.path)[5:]  # iterations 5, 6, validation 6
    assert sinks.is_complete("Weights & Biases", record)

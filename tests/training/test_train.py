"""Training: it goes on after any end, to the very same weights, and says what it does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from forked_commands import ForkedCommand, run_forked
from process_tree import wait_for

from isnet.cli import main
from isnet.records.csv_rows import read_rows
from isnet.records.run_records import TrainRecord, ValidationPoint
from isnet.settings.params import BestMetric

Edit = Callable[[str, str], None]
TRAIN = ("train", "--run", "one")


def _run() -> tuple[int, str]:
    done = run_forked(*TRAIN)
    return done.returncode, done.stdout


def _work() -> Path:
    return next(Path("work/runs/one").iterdir())


def _journal(kind: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (_work() / "journal.jsonl").read_text().splitlines()]
    timing = ("time", "images_per_second", "data_wait", "memory_gb")
    return [
        {key: value for key, value in record.items() if key not in timing}
        for record in records
        if record["kind"] == kind
    ]


def test_a_second_process_on_the_same_run_is_refused(prepared: Path, edit: Edit) -> None:
    edit("max_iters: 6, val_interval: 3", "max_iters: 5000, val_interval: 5000")
    first = ForkedCommand(*TRAIN)
    try:
        wait_for(lambda: any(Path("work").glob("runs/one/*/journal.jsonl")), "a journal")
        status, told = _run()
        assert status == 2
        assert "is being trained by process" in told
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def test_two_processes_keep_the_global_batch(prepared: Path, edit: Edit) -> None:
    edit("devices: cpu", "devices: cpu:2")
    edit("max_iters: 6, val_interval: 3", "max_iters: 2, val_interval: 2")
    status, told = _run()
    assert status == 0, told
    assert told.count("global batch 2 (2 x 1 images) on cpu:2") == 1
    assert [record["iteration"] for record in _journal("train")] == [1, 2]


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is a GPU of Apple")
def test_apples_gpu_is_refused_where_there_is_none(prepared: Path, edit: Edit) -> None:
    edit("devices: cpu", "devices: mps")
    status, told = _run()
    assert status == 2
    assert "devices: mps asks for Apple's GPU, and torch finds none. Write devices: cpu" in told


def test_accumulation_counts_optimizer_steps(prepared: Path, edit: Edit) -> None:
    edit("train_dataloader: {", "train_dataloader: {batch_size: 1, ")
    edit("max_iters: 6, val_interval: 3", "max_iters: 2, val_interval: 1")
    status, told = _run()
    assert status == 0, told
    assert "(1 x 1 images x 2 accumulated)" in told
    assert [record["iteration"] for record in _journal("train")] == [1, 2]
    assert [record["iteration"] for record in _journal("validation")] == [1, 2]


def test_the_chosen_score_decides_and_is_named(
    prepared: Path, edit: Edit, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("    seed: 0\n", "    seed: 0\n    best: mPrecision\n")
    edit("max_iters: 6, val_interval: 3", "max_iters: 2, val_interval: 1")
    assert main(["train", "--run", "one"]) == 0
    rows = _journal("validation")
    assert [row.keys() - {"kind", "iteration"} for row in rows] == [set(get_args(BestMetric))] * 2
    best = max(rows, key=lambda row: row["mPrecision"])
    record = TrainRecord.read(Path("results/runs/one/train/train.json"))
    assert record.best is not None and record.best.iteration == best["iteration"]
    assert record.best.score == ("mPrecision", best["mPrecision"])
    told = f"best validation mPrecision {best['mPrecision']:.2%} at {best['iteration']}"
    assert told in capsys.readouterr().err
    points = read_rows(Path("results/runs/one/train/validation.csv"), ValidationPoint)
    assert [(point.mIoU, point.mDice) for point in points] == [
        (row["mIoU"], row["mDice"]) for row in rows
    ]


def test_weights_are_a_plain_state_dict_that_says_what_it_is(prepared: Path) -> None:
    status, told = _run()
    assert status == 0, told
    loaded = torch.load(Path("results/runs/one/train/weights.pth"))
    assert loaded["meta"]["dataset_meta"]["classes"][0] == "road"
    assert "ISNetHead" in loaded["meta"]["config"]
    summary = json.loads(Path("results/runs/one/train/train.json").read_text())
    assert summary["iterations"] == 6
    assert summary["best"]["mIoU"] == max(row["mIoU"] for row in _journal("validation"))

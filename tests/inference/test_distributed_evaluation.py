"""An evaluation dealt out to processes, and killed anywhere, writes what an undisturbed one writes."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from evaluation_outputs import outputs
from test_dataset_evaluation import SEVERAL, run

from isnet.inference import dataset_evaluation as evaluate
from isnet.inference.dataset_evaluation import count_images
from isnet.inference.evaluation_protocol import EvaluationProtocol

PROTOCOL = EvaluationProtocol.from_config({"multi_scale": SEVERAL})


def finish(model, dataset, folder: Path) -> dict[str, bytes]:
    run(
        model,
        dataset,
        folder / "made",
        {"multi_scale": SEVERAL},
        journals=folder / "journals",
        overlays=(1, 1),
    )
    return outputs(folder / "made")


def count(
    model, dataset, folder: Path, rank: int, world_size: int, kill_after: int | None = None
) -> int | None:
    """Count as a rank in a process of its own, which is killed after some images."""

    def work() -> None:
        def progress(done: int, total: int) -> None:
            if done == kill_after:
                os.kill(os.getpid(), signal.SIGKILL)

        count_images(
            model,
            dataset,
            PROTOCOL,
            folder / "journals",
            "",
            rank=rank,
            world_size=world_size,
            on_progress=progress,
        )

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.fixture
def model(build_model):
    return build_model()


def test_processes_and_kills_change_no_byte(model, dataset, tmp_path, monkeypatch):
    expected = finish(model, dataset, tmp_path / "one")
    for processes in (2, 3):
        folder = tmp_path / f"{processes}"
        for number in range(processes):
            assert count(model, dataset, folder, number, processes) == 0
        monkeypatch.setattr(evaluate, "_predict", None)  # nothing is left to count
        assert finish(model, dataset, folder) == expected
        monkeypatch.undo()

    folder = tmp_path / "killed"
    assert count(model, dataset, folder, 0, 2, kill_after=1) == -signal.SIGKILL
    assert count(model, dataset, folder, 1, 2, kill_after=2) == -signal.SIGKILL
    journal = next((folder / "journals").glob("counts-0*"))
    journal.write_bytes(journal.read_bytes()[:-7])
    assert count(model, dataset, folder, 2, 3, kill_after=1) == -signal.SIGKILL
    assert finish(model, dataset, folder) == expected


def test_an_image_that_is_counted_is_not_predicted_again(model, dataset, tmp_path, monkeypatch):
    count_images(model, dataset, PROTOCOL, tmp_path, "", rank=1, world_size=2)
    seen, told = [], []
    original = evaluate.predict_sample
    monkeypatch.setattr(
        evaluate, "predict_sample", lambda *given: seen.append(given) or original(*given)
    )
    count_images(model, dataset, PROTOCOL, tmp_path, "", on_progress=lambda *at: told.append(at))
    assert len(seen) == 3
    assert told == [(3, 5), (4, 5), (5, 5)]


def test_scores_of_images_are_listed_in_the_order_of_the_data_set(model, dataset, tmp_path):
    finish(model, dataset, tmp_path)
    rows = list(csv.DictReader((tmp_path / "made/per_image.csv").open()))
    assert [row["image"] for row in rows] == [f"town_{index}" for index in range(5)]
    scores = "mIoU aAcc boundary_mIoU mIoU_ms_flip aAcc_ms_flip boundary_mIoU_ms_flip"
    assert list(rows[0]) == ["image", "pixels", *scores.split()]
    assert {row["pixels"] for row in rows} == {str(38 * 73)}
    metrics = json.loads((tmp_path / "made/metrics.json").read_text())
    mean = sum(float(row["aAcc"]) for row in rows) / 5
    assert metrics["single_scale"]["aAcc"] == pytest.approx(mean), "all images are of one size"
    low, high = metrics["single_scale"]["intervals"]["aAcc"]
    assert low <= metrics["single_scale"]["aAcc"] <= high
    assert sum(row["pixels"] for row in metrics["calibration"]) == 5 * 38 * 73
    assert 0 <= metrics["single_scale"]["ece"] <= 1

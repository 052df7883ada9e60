"""`isnet init` proposes as many images at a time as this machine has memory for."""

from __future__ import annotations

from pathlib import Path

import pytest
from stand_in_gpus import show_gpus

from isnet.pipeline import run_memory
from isnet.pipeline.run_memory import fit_batch
from isnet.settings.experiment import resolve
from isnet.settings.params import Run
from isnet.settings.planned_run import PlannedRun

CONFIG = "isnet/configs/isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py"


@pytest.fixture(autouse=True)
def _a_gib_an_image(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_memory, "_ESTIMATES", tmp_path / "estimates.json")
    monkeypatch.setattr(run_memory, "_estimate_apart", lambda run: run.batch.per_process << 30)


def planned(devices: str) -> PlannedRun:
    run = Run.model_validate({"dataset": "camvid", "config": CONFIG, "devices": devices})
    return PlannedRun("one", run, resolve("one", run))


@pytest.mark.parametrize(
    ("gib", "images", "line"),
    [
        (
            10,
            4,
            "memory: 4 at a time take about 4.0 GiB; possible are 8.0 GiB, 80% of the 10.0 free",
        ),
        (4, 2, "4 at a time take about 4.0 GiB, 2 at a time take about 2.0 GiB; possible are 3.2"),
        (1, 1, "possible are 0.8 GiB, 80% of the 1.0 free: take a smaller crop"),
    ],
)
def test_a_part_of_the_batch_fits_free_memory(
    gib: int, images: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_gpus(monkeypatch, None)
    monkeypatch.setattr(run_memory, "free_memory_bytes", lambda: gib << 30)
    found, told = fit_batch(planned("cpu"))
    assert found == images
    assert line in told


def test_the_smallest_of_the_gpus_of_the_run_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpus(monkeypatch, [{"uuid": f"GPU-{mib}", "mib": mib} for mib in (8192, 2048, 1024)])
    found, told = fit_batch(planned("1"))
    assert found == 4
    assert told.endswith("possible are 6.4 GiB, 80% of the 8.0 of each GPU")
    found, told = fit_batch(planned("2"))  # two images each
    assert found == 1
    assert told.endswith(
        "1 at a time take about 1.0 GiB; possible are 1.6 GiB, 80% of the 2.0 of each GPU"
    )


def test_memory_that_is_not_known_leaves_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpus(monkeypatch, None)
    monkeypatch.setattr(run_memory, "_estimate_apart", lambda run: "the config has no crop")
    assert fit_batch(planned("cpu")) == (4, "memory: unknown: the config has no crop")

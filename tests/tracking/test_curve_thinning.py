"""MLflow's curves have a bounded number of points, independent of where an upload started."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from isnet.tracking.curve_thinning import POINTS, rows_of, thin_records


def _train(iterations: int, interval: int = 1) -> list[dict[str, Any]]:
    return [
        {"kind": "train", "iteration": i, "time": float(i), "loss": 1.0}
        for i in range(interval, iterations + 1, interval)
    ]


def _steps(records: list[dict[str, Any]], iterations: int, last: dict[str, int]) -> list[int]:
    return [record["iteration"] for record in thin_records(records, iterations, last)]


@pytest.mark.parametrize(
    ("iterations", "interval"), [(160_000, 1), (160_000, 50), (2001, 1), (2000, 1), (800, 16)]
)
def test_a_curve_has_a_bounded_number_of_points_and_the_last_one(
    iterations: int, interval: int
) -> None:
    records = _train(iterations, interval)
    kept = _steps(records, iterations, {})
    assert len(kept) <= POINTS
    assert len(kept) >= min(len(records), POINTS // 2)
    assert kept[-1] == records[-1]["iteration"]
    gaps = {after - before for before, after in pairwise(kept[:-1])}
    assert max(gaps) - min(gaps) <= interval  # even


@pytest.mark.parametrize("sent", [1, 79, 80, 81, 100_000, 159_999])
def test_an_upload_that_starts_in_the_middle_selects_the_same_points(sent: int) -> None:
    records = _train(160_000)
    kept = _steps(records, 160_000, {})
    there = [step for step in kept if step <= sent]
    assert there + _steps(records, 160_000, {"train": there[-1]}) == kept


def test_every_validation_is_kept_and_none_is_sent_twice() -> None:
    records = [{"kind": "validation", "iteration": i, "mIoU": 0.5} for i in range(1, 5001)]
    assert len(_steps(records, 160_000, {})) == 5000
    assert _steps(records, 160_000, {"validation": 4990, "train": 5000}) == list(range(4991, 5001))


def test_system_samples_grow_with_the_logarithm() -> None:
    month = 2 * 60 * 24 * 30
    records = [{"kind": "system", "sample": n, "time": 0.0} for n in range(month)]
    kept = [record["sample"] for record in thin_records(records, 100, {})]
    assert kept[:1000] == list(range(1000))
    assert len(kept) < 5000
    again = [record["sample"] for record in thin_records(records, 100, {"system": kept[2500]})]
    assert again == kept[2501:]


def test_a_record_gives_the_same_rows_each_time() -> None:
    record = {"kind": "validation", "iteration": 7, "time": 1.5, "mIoU": 0.25, "note": "text"}
    assert rows_of(record) == [("val/mIoU", 0.25, 1500, 7)]

"""Advice for a training that waits for its data."""

from __future__ import annotations

import pytest

from isnet.training.data_loading_advice import DataLoadingAdvice, workers_needed


@pytest.mark.parametrize(
    ("load", "step", "workers"),
    [(0.2, 0.1, 1), (0.2, 0.1, 0), (1.0, 0.1, 4), (0.05, 0.1, 0), (0.9, 0.3, 2)],
)
def test_with_the_workers_named_no_step_waits(load: float, step: float, workers: int) -> None:
    """`load` seconds for a batch on one worker, `step` seconds to train on it."""
    period = load + step if workers == 0 else max(step, load / workers)
    needed = workers_needed((period - step) / period, workers)
    assert load / needed <= step * 1.001
    assert needed == 1 or load / (needed - 1) > step * 0.999


def advise(share: float, advice: DataLoadingAdvice) -> str | None:
    """The advice after a minute of which a share was spent waiting."""
    return advice.update(60 * share, 60)


def test_more_workers_than_cores_are_not_advised() -> None:
    assert advise(0.5, DataLoadingAdvice(2, 8, packed=False)) == (
        "waits 50% of the time for data with 2 workers loading; 4 would do: "
        "overrides: {train_dataloader: {num_workers: 4}}"
    )
    packed = advise(0.5, DataLoadingAdvice(0, 0, packed=True))
    assert packed and packed.endswith("no workers loading; 1 would do, there are cores for 0: give the run more")  # fmt: skip
    plain = advise(0.5, DataLoadingAdvice(2, 3, packed=False))
    assert plain and plain.endswith("give the run more, or let `isnet pack` decode the images beforehand")  # fmt: skip


def test_it_is_said_once_and_not_of_a_moment() -> None:
    advice = DataLoadingAdvice(1, 8, packed=False)
    assert advice.update(5, 6) is None
    assert advice.update(0, 30) is not None
    assert advice.update(30, 30) is None
    assert advise(0.09, DataLoadingAdvice(1, 8, packed=False)) is None

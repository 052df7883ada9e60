"""Which records become points of MLflow's curves. The journal keeps all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["POINTS", "Row", "kind_of", "rows_of", "step_of", "thinned"]

POINTS = 2000
"""Most points of a training's curve: a plot has fewer pixels."""

_SAMPLES = 1000
_PREFIX = {"train": "train", "validation": "val", "system": "system"}
_OTHERWISE_USED = ("kind", "time", "iteration", "sample")

Row = tuple[str, float, int, int]
"""Key, value, Unix milliseconds, step."""


def thinned(
    records: Iterable[dict[str, Any]], iterations: int, last: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield the records that are kept and come after `last`, in order.

    Of a training's records the first one of each of `POINTS` equal parts of its iterations is
    kept, and the last iteration; of the machine's, all of the first thousand, every second up to
    two thousand, every fourth up to four thousand, and so on; of validations, all. What was kept
    before decides what is kept after it, so that a feeder that begins in the middle keeps the same.

    Args:
        records: of one run; iterations ascend within a kind.
        iterations: length of the training.
        last: the last step that MLflow has, of each kind.
    """
    reached = dict(last)
    for record in records:
        kind, step = record["kind"], step_of(record)
        if kind in reached and step <= reached[kind]:
            continue
        if kind == "train" and kind in reached:
            if _part(step, iterations) <= _part(reached[kind], iterations):
                continue
        if kind == "system" and step % (1 << (step // _SAMPLES).bit_length()):
            continue
        reached[kind] = step
        yield record


def _part(iteration: int, iterations: int) -> int:
    """Return 0..POINTS-1; the last iteration is alone in its part."""
    return iteration * (POINTS - 1) // max(iterations, POINTS - 1)


def step_of(record: Mapping[str, Any]) -> int:
    """Return what orders the records of a kind: the iteration, or the number of the sample."""
    return int(record["sample"] if record["kind"] == "system" else record["iteration"])


def rows_of(record: Mapping[str, Any]) -> list[Row]:
    """Return the points of one record; the same record gives the same ones, which MLflow keeps
    once.
    """
    prefix = _PREFIX.get(record["kind"], record["kind"])
    time, step = int(record["time"] * 1000), step_of(record)
    return [
        (f"{prefix}/{key}", float(value), time, step)
        for key, value in record.items()
        if key not in _OTHERWISE_USED and isinstance(value, int | float)
    ]


def kind_of(key: str) -> str:
    """Return the kind of record that a curve was made of."""
    prefix = key.partition("/")[0]
    return next((kind for kind, name in _PREFIX.items() if name == prefix), prefix)

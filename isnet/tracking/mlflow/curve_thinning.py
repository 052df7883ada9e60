"""Thins journal records to the points of MLflow's curves. The journal keeps every record."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

POINTS = 2000  # most points of a training's curve: a plot has fewer pixels
_SAMPLES = 1000
_NO_METRIC = ("kind", "time", "iteration", "sample")

Row = tuple[str, float, int, int]
"""Key, value, Unix milliseconds, step."""


def thin_records(
    records: Iterable[dict[str, Any]], iterations: int, last: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield the records to upload that come after `last`, in order.

    Training records: the first of each of `POINTS` equal intervals of the iterations, and the last
    iteration. System samples: all of the first thousand, every second up to two thousand, every
    fourth up to four thousand, and so on. Validations: all. The selection does not depend on where
    an upload starts, so that a restarted upload selects the same records.

    `records` are of one run, and their iterations ascend within a kind; `iterations`: length of the
    training; `last`: the last step that MLflow has, of each kind.
    """
    reached = dict(last)
    for record in records:
        kind, step = record["kind"], _step(record)
        if kind in reached and step <= reached[kind]:
            continue
        if kind == "train" and kind in reached:
            if _interval(step, iterations) <= _interval(reached[kind], iterations):
                continue
        if kind == "system" and step % (1 << (step // _SAMPLES).bit_length()):
            continue
        reached[kind] = step
        yield record


def _interval(iteration: int, iterations: int) -> int:
    """Return the interval of an iteration, 0..POINTS-1; the last iteration has its own."""
    return iteration * (POINTS - 1) // max(iterations, POINTS - 1)


def _step(record: Mapping[str, Any]) -> int:
    return int(record["sample"] if record["kind"] == "system" else record["iteration"])


def rows_of(record: Mapping[str, Any]) -> list[Row]:
    """Return the metric rows of a record, the same each time: MLflow stores equal rows once."""
    prefix = "val" if record["kind"] == "validation" else record["kind"]
    time, step = int(record["time"] * 1000), _step(record)
    return [
        (f"{prefix}/{key}", float(value), time, step)
        for key, value in record.items()
        if key not in _NO_METRIC and isinstance(value, int | float)
    ]


def kind_of(key: str) -> str:
    """Return the kind of the records behind a metric key."""
    prefix = key.partition("/")[0]
    return "validation" if prefix == "val" else prefix

"""Selects the journal records that become points of MLflow's curves.

The journal keeps every record.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

POINTS = 2000  # most points of a training's curve: a plot has fewer pixels
_SAMPLES = 1000
_NO_METRIC = ("kind", "time", "iteration", "sample")

Row = tuple[str, float, int, int]
"""Metric row of MLflow: key, value, Unix milliseconds and step."""


def thin_records(
    records: Iterable[dict[str, Any]], iterations: int, last: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Subsample the records of a run for upload, and yield those that come after `last`, in order.

    Training records are reduced to the first of each of `POINTS` equal intervals of the
    `iterations`, and the last iteration. Of the system samples, all of the first thousand are kept,
    every second one up to two thousand, every fourth one up to four thousand, and so on. All
    validations are kept. `records` have ascending iterations within each kind; `last` is the last
    step that MLflow has received, by kind. A restarted upload selects the same records.
    """
    reached = dict(last)
    for record in records:
        kind, step = record["kind"], step_of(record)
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
    """Return the interval of an iteration, 0..POINTS-1; the last iteration has one of its own."""
    return iteration * (POINTS - 1) // max(iterations, POINTS - 1)


def step_of(record: Mapping[str, Any]) -> int:
    """Return the iteration of a record, or the number of a system sample."""
    return int(record["sample"] if record["kind"] == "system" else record["iteration"])


def rows_of(record: Mapping[str, Any]) -> list[Row]:
    """Return the MLflow metric rows of a journal record.

    The rows of a record are the same each time, and MLflow stores equal rows once.
    """
    prefix = "val" if record["kind"] == "validation" else record["kind"]
    time, step = int(record["time"] * 1000), step_of(record)
    return [
        (f"{prefix}/{key}", float(value), time, step)
        for key, value in record.items()
        if key not in _NO_METRIC and isinstance(value, int | float)
    ]


def kind_of(key: str) -> str:
    """Return the kind of journal record from the key of one of its MLflow metrics."""
    prefix = key.partition("/")[0]
    return "validation" if prefix == "val" else prefix

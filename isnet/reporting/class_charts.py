"""Prepares the data of per-class charts: IoU, confused pairs and class frequencies."""

import math
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from isnet.records.base_record import Colour
from isnet.records.dataset_records import Census, SplitCounts
from isnet.records.result_reader import DatasetResults, RunResults
from isnet.records.run_records import Confusion


def class_colours(dataset: DatasetResults) -> dict[str, Colour]:
    """Return the colour of each class of a data set, by class name."""
    manifest = dataset.manifest
    return dict(zip(manifest.classes, manifest.palette, strict=False))


def baseline_scores(dataset: DatasetResults) -> dict[str, float | None]:
    """Return the baseline's IoU of each class, by class name; {} without a baseline."""
    scores = dataset.baseline.per_class_iou if dataset.baseline else []
    return dict(zip(dataset.manifest.classes, scores, strict=False))


def class_dots(dataset: DatasetResults, runs: Sequence[RunResults]) -> list[dict[str, object]]:
    """Return the data of a dot plot of single-scale IoU, with one row per class.

    Each row has the IoU of every run, in the order of `runs`, and of the baseline.
    """
    colours, baseline = class_colours(dataset), baseline_scores(dataset)
    tables = [{score.name: score.iou for score in run.per_class} for run in runs]
    return [
        {
            "name": name,
            "colour": colours.get(name),
            "iou": [table.get(name) for table in tables],
            "baseline": baseline.get(name),
        }
        for name in dict.fromkeys(name for table in tables for name in table)
    ]


def confused_pairs(confusion: Confusion, count: int = 6) -> dict[str, list[dict[str, Any]]]:
    """Return the `count` most confused pairs of classes, ranked by `share` and ranked by `pixels`.

    `share` is the confused part of the true class's pixels, `pixels` the number of confused pixels.
    """
    wrong = sum(sum(row) - row[i] for i, row in enumerate(confusion.counts)) or 1
    names = confusion.classes
    pairs: list[dict[str, Any]] = [
        {"truth": names[i], "predicted": names[j], "pixels": n}
        | {"share": n / sum(row), "of_wrong": n / wrong}
        for i, row in enumerate(confusion.counts)
        for j, n in enumerate(row)
        if i != j and n
    ]
    orders = ("share", "pixels")
    return {key: sorted(pairs, key=itemgetter(key), reverse=True)[:count] for key in orders}


def census_bars(census: Census | None) -> dict[str, object] | None:
    """Return the data of a bar chart of pixel shares per class and split, on a logarithmic axis.

    Returns None without a census.
    """
    if census is None:
        return None
    shares = {
        split: [n / (sum(entry.pixels) or 1) for n in entry.pixels]
        for split, entry in census.splits.items()
    }
    known = [share for column in shares.values() for share in column if share > 0]
    # At least two decades, so that a balanced data set does not look unbalanced.
    low = min(-2, max(-6, math.floor(math.log10(min(known))))) if known else -2
    classes = [
        {
            "name": name,
            "colour": colour,
            "bars": [
                {
                    "split": split,
                    "share": column[i],
                    "length": max(0.0, 1 - math.log10(column[i]) / low) if column[i] else None,
                    "images": census.splits[split].images_with_class[i],
                }
                for split, column in shares.items()
            ],
        }
        for i, (name, colour) in enumerate(zip(census.classes, census.palette, strict=True))
    ]
    return {
        "classes": classes,
        "ticks": [{"share": 10.0**power, "at": 1 - power / low} for power in range(low, 1)],
        "splits": [_split(name, entry) for name, entry in census.splits.items()],
    }


def _split(name: str, entry: SplitCounts) -> dict[str, object]:
    total = sum(entry.pixels) + entry.ignored_pixels
    sizes = sorted(entry.sizes.items(), key=lambda item: -item[1])
    return {
        "name": name,
        "images": entry.images,
        "pixels": total,
        "ignored": entry.ignored_pixels / total if total else 0.0,
        "sizes": sizes[:4],
        "more_sizes": max(0, len(sizes) - 4),
        "absent": entry.pixels.count(0),
    }

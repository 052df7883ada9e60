"""The files of an evaluation (docs/architecture.md has their formats)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isnet.errors import UserError
from isnet.evaluation.confusion import Scores
from isnet.evaluation.protocol import Protocol
from isnet.evaluation.speed import Cost
from isnet.files import write_json, write_text

__all__ = ["Evaluation", "ImageScore", "write_results"]

# metrics.json in the order in which it is documented; the identity is the caller's.
_FIELDS = (
    "run dataset weights_sha256 manifest_digest split images iteration method backbone crop "
    "parameters flops input images_per_second peak_memory_gb single_scale multi_scale_flip "
    "overlays environment"
).split()


@dataclass(frozen=True)
class ImageScore:
    """The single-scale mIoU of one image over the classes in it; NaN where all its pixels are
    ignored.
    """

    name: str
    miou: float


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on a data set, in the order of `classes`; `images` in the order of
    the data set.
    """

    classes: tuple[str, ...]
    protocol: Protocol
    single_scale: Scores
    multi_scale: Scores | None
    images: tuple[ImageScore, ...] = field(repr=False)


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


def _summary(scores: Scores) -> dict[str, float | None]:
    return {name: _null(value) for name, value in scores.summary().items()}


def _table(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _measured(evaluation: Evaluation, cost: Cost) -> dict[str, Any]:
    several = evaluation.protocol.multi_scale
    multi = None
    if several is not None and evaluation.multi_scale is not None:
        multi = {
            **_summary(evaluation.multi_scale),
            "scales": list(several.scales),
            "flip": several.flip,
            "mode": several.mode,
        }
    return {
        "images": len(evaluation.images),
        "parameters": cost.parameters,
        "flops": cost.flops,
        "input": list(cost.input),
        "images_per_second": cost.images_per_second,
        "peak_memory_gb": cost.peak_memory_gb,
        "single_scale": {
            **_summary(evaluation.single_scale),
            "mode": evaluation.protocol.single_scale.mode,
        },
        "multi_scale_flip": multi,
    }


def write_results(
    evaluation: Evaluation,
    directory: Path,
    identity: Mapping[str, Any],
    cost: Cost,
    overlays: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write `metrics.json`, `per_class.csv` and `confusion.csv` into `directory` and return what
    metrics.json holds.

    `identity` may not name what is measured here; its other fields are kept, and unknown ones
    follow the documented ones.
    """
    measured = {**_measured(evaluation, cost), "overlays": [dict(row) for row in overlays]}
    twice = sorted(set(identity) & set(measured))
    if twice:
        raise UserError(f"{twice[0]} is measured and cannot be given", where="metrics.json")
    known = {**identity, **measured}
    metrics = {name: known[name] for name in _FIELDS if name in known}
    metrics.update({name: value for name, value in known.items() if name not in metrics})

    single, multi = evaluation.single_scale, evaluation.multi_scale
    rows: list[list[Any]] = [["class", "iou", "accuracy", "iou_ms_flip", "pixels"]]
    for index, name in enumerate(evaluation.classes):
        flipped = "" if multi is None else _cell(multi.iou[index])
        rows.append(
            [
                name,
                _cell(single.iou[index]),
                _cell(single.accuracy[index]),
                flipped,
                int(single.pixels[index]),
            ]
        )
    counts = [
        [name, *row.tolist()] for name, row in zip(evaluation.classes, single.matrix, strict=True)
    ]

    write_text(directory / "per_class.csv", _table(rows))
    write_text(directory / "confusion.csv", _table([["truth", *evaluation.classes], *counts]))
    # Last, so that whoever finds metrics.json finds the rest.
    write_json(directory / "metrics.json", metrics)
    return metrics

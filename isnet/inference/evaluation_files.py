"""The files of an evaluation (docs/architecture.md has their formats)."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import EvaluationProtocol, InferenceSettings
from isnet.inference.inference_cost import InferenceCost
from isnet.io.atomic_files import write_json, write_text
from isnet.metrics.bootstrap import LEVEL, RESAMPLES, SEED
from isnet.metrics.boundary_iou import BOUNDARY_RATIO
from isnet.metrics.calibration import Calibration
from isnet.metrics.dataset_scores import DatasetScores, null
from isnet.metrics.evaluation_sums import EvaluationSums

__all__ = ["Evaluation", "ImageScore", "write_results"]

# metrics.json in the order in which it is documented; the identity is the caller's.
_FIELDS = (
    "run dataset weights_sha256 manifest_digest split images iteration method backbone crop "
    "parameters flops input images_per_second latency_ms peak_memory_gb single_scale "
    "multi_scale_flip calibration conventions overlays environment"
).split()
_CONVENTIONS = {
    "boundary_ratio": BOUNDARY_RATIO,
    "interval": {"over": "images", "level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
}


@dataclass(frozen=True)
class ImageScore:
    """The single-scale mIoU of one image over the classes in it; NaN where all its pixels are
    ignored.
    """

    name: str
    miou: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of a model on a data set, in the order of `classes`; `names` of the images in the
    order of the data set.
    """

    classes: tuple[str, ...]
    protocol: EvaluationProtocol
    single_scale: DatasetScores
    multi_scale: DatasetScores | None
    calibration: Calibration
    names: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(
        cls, tally: EvaluationSums, classes: Sequence[str], protocol: EvaluationProtocol
    ) -> Evaluation:
        """Read the scores off what was counted."""
        several = tally.multi_scale()
        return cls(
            tuple(classes),
            protocol,
            DatasetScores(tally.single_scale()),
            None if several is None else DatasetScores(several),
            Calibration(tally.calibration()),
            tally.names,
        )

    @property
    def images(self) -> tuple[ImageScore, ...]:
        """The single-scale mIoU of each image."""
        scores = self.single_scale.images["mIoU"].tolist()
        return tuple(map(ImageScore, self.names, scores))


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))


def _table(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _look(settings: InferenceSettings) -> dict[str, Any]:
    return {"mode": settings.mode, "precision": settings.precision}


def _views(settings: InferenceSettings) -> dict[str, Any]:
    return {"scales": list(settings.scales), "flip": settings.flip, **_look(settings)}


def _measured(evaluation: Evaluation, cost: InferenceCost) -> dict[str, Any]:
    several, protocol = evaluation.multi_scale, evaluation.protocol
    multi = None
    if several is not None and protocol.multi_scale is not None:
        multi = several.summary(evaluation.classes) | _views(protocol.multi_scale)
    return {
        "images": len(evaluation.names),
        "parameters": cost.parameters,
        "flops": cost.flops,
        "input": list(cost.input),
        "images_per_second": cost.images_per_second,
        "latency_ms": {str(rank): value for rank, value in cost.latency_ms.items()},
        "peak_memory_gb": cost.peak_memory_gb,
        "single_scale": evaluation.single_scale.summary(evaluation.classes)
        | {"ece": null(evaluation.calibration.error), **_look(protocol.single_scale)},
        "multi_scale_flip": multi,
        "calibration": evaluation.calibration.rows(),
        "conventions": _CONVENTIONS,
    }


def _per_class(evaluation: Evaluation) -> list[list[Any]]:
    single, multi = evaluation.single_scale, evaluation.multi_scale
    absent = np.full(len(evaluation.classes), np.nan)
    columns = [
        single.scores.iou,
        single.scores.accuracy,
        absent if multi is None else multi.scores.iou,
        single.boundary.iou,
        absent if multi is None else multi.boundary.iou,
        *single.class_bounds.T,
    ]
    names = "class iou accuracy iou_ms_flip pixels boundary_iou boundary_iou_ms_flip"
    rows: list[list[Any]] = [[*names.split(), "iou_low", "iou_high"]]
    for index, name in enumerate(evaluation.classes):
        cells = [_cell(column[index]) for column in columns]
        rows.append([name, *cells[:3], int(single.scores.pixels[index]), *cells[3:]])
    return rows


def _per_image(evaluation: Evaluation) -> list[list[Any]]:
    columns = dict(evaluation.single_scale.images)
    if evaluation.multi_scale is not None:
        several = evaluation.multi_scale.images
        columns |= {f"{name}_ms_flip": values for name, values in several.items()}
    pixels = evaluation.single_scale.sums.areas[..., :2].sum(axis=(1, 2)).tolist()
    cells = [map(_cell, values) for values in columns.values()]
    rows = zip(evaluation.names, pixels, *cells, strict=True)
    return [["image", "pixels", *columns], *map(list, rows)]


def write_results(
    evaluation: Evaluation,
    directory: Path,
    identity: Mapping[str, Any],
    cost: InferenceCost,
    overlays: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write `metrics.json`, `per_class.csv`, `per_image.csv` and `confusion.csv` into `directory`
    and return what metrics.json holds.

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
    matrix = evaluation.single_scale.sums.confusion
    counts = [[name, *row] for name, row in zip(evaluation.classes, matrix.tolist(), strict=True)]

    write_text(directory / "per_class.csv", _table(_per_class(evaluation)))
    write_text(directory / "per_image.csv", _table(_per_image(evaluation)))
    write_text(directory / "confusion.csv", _table([["truth", *evaluation.classes], *counts]))
    # Last, so that whoever finds metrics.json finds the rest.
    write_json(directory / "metrics.json", metrics)
    return metrics

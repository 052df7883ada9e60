"""Writes the files of an evaluation: `metrics.json`, `per_class.csv`, `per_image.csv` and
`confusion.csv`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isnet.errors import UserError
from isnet.inference.evaluation_protocol import EvaluationProtocol, InferenceSettings
from isnet.inference.inference_cost import InferenceCost
from isnet.metrics.bootstrap import LEVEL, RESAMPLES, SEED
from isnet.metrics.boundary_iou import BOUNDARY_RATIO
from isnet.metrics.calibration import Calibration
from isnet.metrics.dataset_scores import DatasetScores
from isnet.metrics.evaluation_sums import EvaluationSums
from isnet.records.base_record import write_rows
from isnet.records.run_records import (
    ClassScore,
    Confusion,
    ImageScore,
    MetricsRecord,
    OverlayRecord,
)

_CONVENTIONS = {
    "boundary_ratio": BOUNDARY_RATIO,
    "interval": {"over": "images", "level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of a model on a data set; `names` of the images in the order of the data set."""

    classes: tuple[str, ...]
    protocol: EvaluationProtocol
    single_scale: DatasetScores
    multi_scale: DatasetScores | None
    calibration: Calibration
    names: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(
        cls, sums: EvaluationSums, classes: Sequence[str], protocol: EvaluationProtocol
    ) -> Evaluation:
        """Compute the scores from the sums over images."""
        several = sums.multi_scale()
        return cls(
            tuple(classes),
            protocol,
            DatasetScores(sums.single_scale()),
            None if several is None else DatasetScores(several),
            Calibration(sums.calibration()),
            sums.names,
        )

    @property
    def images(self) -> tuple[ImageScore, ...]:
        """Scores of each image."""
        columns: dict[str, list[Any]] = {"name": list(self.names)}
        columns["pixels"] = self.single_scale.sums.areas[..., :2].sum(axis=(1, 2)).tolist()
        for suffix, scores in (("", self.single_scale), ("_ms_flip", self.multi_scale)):
            if scores is not None:
                columns |= {name + suffix: array.tolist() for name, array in scores.images.items()}
        rows = zip(*columns.values(), strict=True)
        return tuple(
            ImageScore.model_validate(dict(zip(columns, row, strict=True))) for row in rows
        )


def write_results(
    evaluation: Evaluation,
    directory: Path,
    identity: Mapping[str, Any],
    cost: InferenceCost,
    overlays: Sequence[OverlayRecord] = (),
) -> MetricsRecord:
    """Write `metrics.json`, `per_class.csv`, `per_image.csv` and `confusion.csv` into `directory`.

    `identity`: the fields of metrics.json that are not measured here (run, weights, method ...).
    Raises UserError if it has one that is.
    """
    measured = _measurements(evaluation, cost) | {"overlays": list(overlays)}
    if twice := sorted(set(identity) & set(measured)):
        raise UserError(f"{twice[0]} is measured and cannot be given", where="metrics.json")
    metrics = MetricsRecord.model_validate({**identity, **measured})
    matrix = evaluation.single_scale.sums.confusion.tolist()
    write_rows(directory / "per_class.csv", _class_scores(evaluation))
    write_rows(directory / "per_image.csv", evaluation.images)
    Confusion(evaluation.classes, matrix).write(directory / "confusion.csv")
    # Last: if metrics.json exists, the other files do too.
    metrics.write(directory / "metrics.json")
    return metrics


def _measurements(evaluation: Evaluation, cost: InferenceCost) -> dict[str, Any]:
    classes, protocol = evaluation.classes, evaluation.protocol
    single, several, multi = evaluation.single_scale, evaluation.multi_scale, None
    if several is not None and (views := protocol.multi_scale) is not None:
        multi = several.summary(classes) | _settings(views)
        multi |= {"scales": list(views.scales), "flip": views.flip}
    return {
        "images": len(evaluation.names),
        "parameters": cost.parameters,
        "flops": cost.flops,
        "input": cost.input,
        "images_per_second": cost.images_per_second,
        "latency_ms": {str(rank): value for rank, value in cost.latency_ms.items()},
        "peak_memory_gb": cost.peak_memory_gb,
        "single_scale": single.summary(classes)
        | {"ece": evaluation.calibration.error, **_settings(protocol.single_scale)},
        "multi_scale_flip": multi,
        "calibration": evaluation.calibration.rows(),
        "conventions": _CONVENTIONS,
    }


def _settings(views: InferenceSettings) -> dict[str, Any]:
    return {"mode": views.mode, "precision": views.precision}


def _class_scores(evaluation: Evaluation) -> list[ClassScore]:
    single, multi = evaluation.single_scale, evaluation.multi_scale
    absent = np.full(len(evaluation.classes), np.nan)
    low, high = single.class_bounds.T
    columns = {
        "name": np.array(evaluation.classes, object),
        "iou": single.scores.iou,
        "accuracy": single.scores.accuracy,
        "iou_ms_flip": absent if multi is None else multi.scores.iou,
        "pixels": single.scores.pixels,
        "boundary_iou": single.boundary.iou,
        "boundary_iou_ms_flip": absent if multi is None else multi.boundary.iou,
        "iou_low": low,
        "iou_high": high,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [ClassScore.model_validate(dict(zip(columns, row, strict=True))) for row in rows]

"""Writes the files of an evaluation: `metrics.json`, and CSV files of classes and images."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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

Columns = dict[str, npt.NDArray[Any]]

_CONVENTIONS = {
    "boundary_ratio": BOUNDARY_RATIO,
    "interval": {"over": "images", "level": LEVEL, "resamples": RESAMPLES, "seed": SEED},
}


class Evaluation:
    """Scores of a model on a data set, computed from pixel counts summed over its images."""

    def __init__(
        self, sums: EvaluationSums, classes: Sequence[str], protocol: EvaluationProtocol
    ) -> None:
        multi = sums.multi_scale
        self.classes, self.protocol, self.names = tuple(classes), protocol, sums.names
        self.single_scale = DatasetScores(sums.single_scale)
        self.multi_scale = DatasetScores(multi) if len(multi) else None
        self.calibration = Calibration(sums.calibration)
        self.images = self._image_scores()

    def _image_scores(self) -> list[ImageScore]:
        pixels = self.single_scale.sums.areas[..., :2].sum(axis=(1, 2))
        columns: Columns = {"name": np.array(self.names, object), "pixels": pixels}
        columns |= self.single_scale.images
        if self.multi_scale is not None:
            columns |= {f"{name}_ms_flip": v for name, v in self.multi_scale.images.items()}
        return [ImageScore.model_validate(row) for row in _rows(columns)]

    def class_scores(self) -> list[ClassScore]:
        """Return the scores of each class."""
        single, multi, intervals = self.single_scale, self.multi_scale, self.single_scale.intervals
        absent = np.full(len(self.classes), np.nan)
        columns: Columns = {
            "name": np.array(self.classes, object),
            "iou": single.counts.iou,
            "accuracy": single.counts.accuracy,
            "iou_ms_flip": absent if multi is None else multi.counts.iou,
            "pixels": single.counts.pixels,
            "boundary_iou": single.boundary.iou,
            "boundary_iou_ms_flip": absent if multi is None else multi.boundary.iou,
            "iou_low": absent if intervals is None else intervals.iou[:, 0],
            "iou_high": absent if intervals is None else intervals.iou[:, 1],
            "dice": single.counts.dice,
            "fscore": single.counts.fscore,
            "precision": single.counts.precision,
            "recall": single.counts.accuracy,
        }
        return [ClassScore.model_validate(row) for row in _rows(columns)]


def _rows(columns: Columns) -> list[dict[str, Any]]:
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def write_results(
    evaluation: Evaluation,
    directory: Path,
    identity: Mapping[str, Any],
    cost: InferenceCost,
    overlays: Sequence[OverlayRecord] = (),
) -> MetricsRecord:
    """Write `metrics.json`, `per_class.csv`, `per_image.csv` and `confusion.csv` into `directory`.

    `identity`: fields of metrics.json that are not measured here (run, weights, method ...). Raises
    UserError if `identity` contains a measured field.
    """
    measured = _measurements(evaluation, cost) | {"overlays": list(overlays)}
    if twice := sorted(set(identity) & set(measured)):
        raise UserError(f"{twice[0]} is measured and cannot be given", where="metrics.json")
    metrics = MetricsRecord.model_validate({**identity, **measured})
    matrix = evaluation.single_scale.sums.confusion.tolist()
    write_rows(directory / "per_class.csv", evaluation.class_scores())
    write_rows(directory / "per_image.csv", evaluation.images)
    Confusion(evaluation.classes, matrix).write(directory / "confusion.csv")
    # Last: if metrics.json exists, the other files do too.
    metrics.write(directory / "metrics.json")
    return metrics


def _measurements(evaluation: Evaluation, cost: InferenceCost) -> dict[str, Any]:
    classes, protocol = evaluation.classes, evaluation.protocol
    single = evaluation.single_scale.summary(classes) | _settings(protocol.single_scale)
    multi, views = None, protocol.multi_scale
    if evaluation.multi_scale is not None and views is not None:
        multi = evaluation.multi_scale.summary(classes) | _settings(views)
        multi |= {"scales": list(views.scales), "flip": views.flip}
    return {
        "images": len(evaluation.names),
        **asdict(cost),
        "latency_ms": {str(rank): value for rank, value in cost.latency_ms.items()},
        "single_scale": single | {"ece": evaluation.calibration.error},
        "multi_scale_flip": multi,
        "calibration": evaluation.calibration.rows(),
        "conventions": _CONVENTIONS,
    }


def _settings(views: InferenceSettings) -> dict[str, Any]:
    return {"mode": views.mode, "precision": views.precision}

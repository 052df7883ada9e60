"""Writes the files of an evaluation: `metrics.json`, CSV files of classes and images, overlays."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from mmseg.models.segmentors import EncoderDecoder

from isnet.errors import UserError
from isnet.images.pixel_format import swap_colours, to_picture
from isnet.inference.dataset_samples import EvaluationSample, dataset_samples
from isnet.inference.evaluation_protocol import EvaluationProtocol, InferenceSettings
from isnet.inference.inference_cost import InferenceCost
from isnet.inference.label_prediction import predict_with_confidence
from isnet.inference.overlays import write_overlays
from isnet.metrics.bootstrap import LEVEL, RESAMPLES, SEED
from isnet.metrics.boundary_iou import BOUNDARY_RATIO
from isnet.metrics.calibration import Calibration
from isnet.metrics.confusion_matrix import ClassCounts, Labels, as_labels
from isnet.metrics.dataset_scores import DatasetScores
from isnet.metrics.evaluation_sums import EvaluationSums
from isnet.records.csv_rows import write_rows
from isnet.records.run_records import (
    ClassScore,
    Confusion,
    ImageScore,
    MetricsRecord,
    OverlayRecord,
)

Columns = dict[str, npt.NDArray[Any]]
LabelsAndConfidence = tuple[Labels, npt.NDArray[np.float32]]

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
        pixels = self.single_scale.sums.areas[..., :2].sum(axis=(1, 2))
        columns: Columns = {"name": np.array(self.names, object), "pixels": pixels}
        columns |= self.single_scale.images
        if self.multi_scale is not None:
            columns |= {f"{name}_ms_flip": v for name, v in self.multi_scale.images.items()}
        self.images = [ImageScore.model_validate(row) for row in _rows(columns)]

    def class_scores(self) -> list[ClassScore]:
        """Return the scores of each class."""
        single, multi, intervals = self.single_scale, self.multi_scale, self.single_scale.intervals
        absent = np.full(len(self.classes), np.nan)
        scores = ("iou", "accuracy", "pixels", "dice", "fscore", "precision")
        columns: Columns = {
            "name": np.array(self.classes, object),
            **{score: getattr(single.counts, score) for score in scores},
            "recall": single.counts.accuracy,
            "iou_ms_flip": absent if multi is None else multi.counts.iou,
            "boundary_iou": single.boundary.iou,
            "boundary_iou_ms_flip": absent if multi is None else multi.boundary.iou,
            "iou_low": absent if intervals is None else intervals.iou[:, 0],
            "iou_high": absent if intervals is None else intervals.iou[:, 1],
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
    multi, views = None, protocol.multi_scale
    if evaluation.multi_scale is not None and views is not None:
        multi = _summary(evaluation.multi_scale, classes, views)
        multi |= {"scales": list(views.scales), "flip": views.flip}
    return {
        "images": len(evaluation.names),
        **asdict(cost),
        "latency_ms": {str(rank): value for rank, value in cost.latency_ms.items()},
        "single_scale": _summary(evaluation.single_scale, classes, protocol.single_scale)
        | {"ece": evaluation.calibration.error},
        "multi_scale_flip": multi,
        "calibration": evaluation.calibration.rows(),
        "conventions": _CONVENTIONS,
    }


def _summary(
    scores: DatasetScores, classes: Sequence[str], views: InferenceSettings
) -> dict[str, Any]:
    return scores.summary(classes) | {"mode": views.mode, "precision": views.precision}


def choose_overlays(
    images: Sequence[ImageScore], sample: int = 8, worst: int = 8
) -> list[tuple[int, Literal["sample", "worst"]]]:
    """Choose the images that get overlays: evenly spaced ones, and the worst of the others by mIoU.

    Returns pairs of an index and a reason.
    """
    count = min(sample, len(images))
    even = [(2 * place + 1) * len(images) // (2 * count) for place in range(count)]
    scores = [(image.mIoU, index) for index, image in enumerate(images) if image.mIoU is not None]
    others = [index for _, index in sorted(scores) if index not in even]
    return [(index, "sample") for index in even] + [(index, "worst") for index in others[:worst]]


def write_evaluation_overlays(
    model: EncoderDecoder,
    dataset: Any,
    evaluation: Evaluation,
    directory: Path,
    counts: tuple[int, int],
) -> list[OverlayRecord]:
    """Choose images, predict them again, and write their overlays below `directory`."""
    chosen = choose_overlays(evaluation.images, *counts)
    samples = dataset_samples(model, dataset, [index for index, _ in chosen])
    areas, rows = evaluation.single_scale.sums.areas, []
    for (index, why), sample in zip(chosen, samples, strict=True):
        files = write_overlays(
            directory / "overlays",
            sample.name,
            to_picture(swap_colours(sample.read_image())),
            sample.label,
            *predict_sample(model, sample, evaluation.protocol.single_scale),
            dataset.metainfo["palette"],
            dataset.ignore_index,
        )
        iou = ClassCounts(areas[index]).iou.tolist()
        named = zip(evaluation.classes, iou, strict=True)
        rows.append(
            OverlayRecord(
                name=sample.name,
                mIoU=evaluation.images[index].mIoU,
                **{kind: f"overlays/{file}" for kind, file in files.items()},
                class_iou={name: value for name, value in named if value == value},  # without NaN
                why=why,
            )
        )
    return rows


def predict_sample(
    model: EncoderDecoder, sample: EvaluationSample, settings: InferenceSettings
) -> LabelsAndConfidence:
    """Predict the labels `(H, W)` uint8 of a sample, and their confidence `(H, W)` float32."""
    labels, confidence = predict_with_confidence(model, sample.x, sample.size, settings)
    return as_labels(labels[0]), confidence[0].cpu().numpy()

"""Chooses the images of an evaluation that get overlays, and writes these."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from mmseg.models.segmentors import EncoderDecoder

from isnet.inference.dataset_samples import EvaluationSample, dataset_samples
from isnet.inference.evaluation_files import Evaluation
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.label_prediction import predict_with_confidence
from isnet.inference.overlays import write_overlays
from isnet.metrics.confusion_matrix import ClassCounts, Labels, as_labels
from isnet.records.run_records import ImageScore, OverlayRecord

LabelsAndConfidence = tuple[Labels, npt.NDArray[np.float32]]


def choose_overlays(
    images: Sequence[ImageScore], sample: int = 8, worst: int = 8
) -> list[tuple[int, Literal["sample", "worst"]]]:
    """Choose the images that get overlays: evenly spaced ones, and the worst of the others by mIoU.

    Returns pairs of an index and a reason. The evenly spaced images are the same in every
    evaluation of a data set.
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
            np.ascontiguousarray(sample.read_image()[..., ::-1]),
            sample.label,
            *predict_sample(model, sample, evaluation.protocol.single_scale),
            dataset.metainfo["palette"],
            dataset.ignore_index,
        )
        iou = ClassCounts(areas[index]).iou.tolist()
        named = zip(evaluation.classes, iou, strict=True)
        row = OverlayRecord(
            name=sample.name,
            mIoU=evaluation.images[index].mIoU,
            **{kind: f"overlays/{file}" for kind, file in files.items()},
            class_iou={name: value for name, value in named if value == value},  # without NaN
            why=why,
        )
        rows.append(row)
    return rows


def predict_sample(
    model: EncoderDecoder, sample: EvaluationSample, settings: InferenceSettings
) -> LabelsAndConfidence:
    """Predict the labels `(H, W)` uint8 of a sample, and their confidence `(H, W)` float32."""
    labels, confidence = predict_with_confidence(model, sample.x, sample.size, settings)
    return as_labels(labels[0]), confidence[0].cpu().numpy()

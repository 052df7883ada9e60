"""The evaluate stage's core: score a model on a data set and choose the pictures to show."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mmseg.models.segmentors import EncoderDecoder

from isnet.errors import UserError
from isnet.evaluation.confusion import Scores, as_labels, confusion_matrix
from isnet.evaluation.inference import predict
from isnet.evaluation.overlays import read_image, write_overlays
from isnet.evaluation.protocol import Protocol
from isnet.evaluation.results import Evaluation, ImageScore, write_results
from isnet.evaluation.samples import Sample, dataset_samples
from isnet.evaluation.speed import Cost, measure_cost

__all__ = ["choose_overlays", "evaluate", "evaluate_run"]

Progress = Callable[[int, int], None]


def evaluate(
    model: EncoderDecoder,
    samples: Iterable[Sample],
    classes: Sequence[str],
    protocol: Protocol,
    *,
    total: int,
    ignore_index: int = 255,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Score `model` (put into eval mode) on `samples`, one image at a time: two matrices and one
    number per image are all that is kept.

    `on_progress(done, total)` is called after each image.
    """
    model.eval()
    matrices = [np.zeros((len(classes), len(classes)), np.int64) for _ in range(2)]
    views = [protocol.single_scale, protocol.multi_scale]
    images = []
    for sample in samples:
        for index, settings in enumerate(views):
            if settings is None:
                continue
            label = as_labels(predict(model, sample.x, sample.size, settings)[0])
            where = str(sample.image_path)
            counts = confusion_matrix(sample.truth, label, len(classes), ignore_index, name=where)
            matrices[index] += counts
            if index == 0:
                images.append(ImageScore(sample.name, Scores(counts).summary()["mIoU"]))
        if on_progress is not None:
            on_progress(len(images), total)
    single, multi = (Scores(matrix) for matrix in matrices)
    return Evaluation(
        classes=tuple(classes),
        protocol=protocol,
        single_scale=single,
        multi_scale=None if protocol.multi_scale is None else multi,
        images=tuple(images),
    )


def choose_overlays(
    images: Sequence[ImageScore], sample: int = 8, worst: int = 8
) -> list[tuple[int, Literal["sample", "worst"]]]:
    """Choose (index, why): `sample` images evenly spaced, the same for every run on a data set,
    and the `worst` others by mIoU, worst first.
    """
    count = min(sample, len(images))
    even = [(2 * place + 1) * len(images) // (2 * count) for place in range(count)]
    scored = [
        index
        for index, image in enumerate(images)
        if index not in even and not math.isnan(image.miou)
    ]
    scored.sort(key=lambda index: (images[index].miou, index))
    chosen: list[tuple[int, Literal["sample", "worst"]]] = [(index, "sample") for index in even]
    return chosen + [(index, "worst") for index in scored[:worst]]


def _draw(
    model: EncoderDecoder,
    dataset: Any,
    evaluation: Evaluation,
    directory: Path,
    counts: tuple[int, int],
) -> list[dict[str, Any]]:
    """Predict the chosen images once more and write their overlays."""
    chosen = choose_overlays(evaluation.images, *counts)
    samples = dataset_samples(model, dataset, [index for index, _ in chosen])
    rows = []
    for (index, why), sample in zip(chosen, samples, strict=True):
        label = predict(model, sample.x, sample.size, evaluation.protocol.single_scale)[0]
        files = write_overlays(
            directory / "overlays",
            sample.name,
            read_image(sample.image_path),
            sample.truth,
            as_labels(label),
            dataset.metainfo["palette"],
            dataset.ignore_index,
        )
        miou = evaluation.images[index].miou
        paths = {kind: f"overlays/{file}" for kind, file in files.items()}
        row = {"name": sample.name, "mIoU": None if math.isnan(miou) else miou, **paths, "why": why}
        rows.append(row)
    return rows


def _cost(model: EncoderDecoder, dataset: Any, protocol: Protocol, seconds: float) -> Cost:
    sample = next(dataset_samples(model, dataset, [0]))

    def once() -> object:
        return predict(model, sample.x, sample.size, protocol.single_scale)

    return measure_cost(model, sample.x, once, seconds)


def evaluate_run(
    model: EncoderDecoder,
    dataset: Any,
    protocol: Protocol,
    directory: Path,
    identity: Mapping[str, Any],
    *,
    overlays: tuple[int, int] = (8, 8),
    workers: int = 0,
    speed_seconds: float = 5.0,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Evaluate `model` on an mmseg `dataset` and write `metrics.json`, `per_class.csv`,
    `confusion.csv` and `overlays/` into `directory`.

    `identity`: the fields of metrics.json that the caller knows (run, dataset, weights_sha256, ...,
    environment); `overlays`: how many of the fixed sample and of the worst; `speed_seconds`: for
    how long the speed is measured, on the first image. Returns what metrics.json holds.
    """
    if len(dataset) == 0:
        raise UserError(
            "the data set has no images to evaluate", where=str(identity.get("dataset", "evaluate"))
        )
    model.eval()
    cost = _cost(model, dataset, protocol, speed_seconds)
    evaluation = evaluate(
        model,
        dataset_samples(model, dataset, workers=workers),
        dataset.metainfo["classes"],
        protocol,
        total=len(dataset),
        ignore_index=dataset.ignore_index,
        on_progress=on_progress,
    )
    rows = _draw(model, dataset, evaluation, directory, overlays)
    return write_results(evaluation, directory, identity, cost, rows)

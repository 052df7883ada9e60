"""The evaluate stage's core: score a model on a data set and choose the pictures to show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from mmseg.models.segmentors import EncoderDecoder

from isnet.errors import UserError
from isnet.inference.background_map import map_in_background
from isnet.inference.dataset_samples import EvaluationSample, dataset_samples, num_decode_workers
from isnet.inference.evaluation_files import Evaluation, write_results
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.inference.inference_cost import InferenceCost, measure_prediction
from isnet.inference.label_prediction import predict, predict_with_confidence
from isnet.inference.overlays import read_image, write_overlays
from isnet.metrics.confusion_matrix import ClassCounts, Labels, as_labels
from isnet.metrics.evaluation_journal import EvaluationJournal, read_journals
from isnet.metrics.evaluation_sums import EvaluationSums, ImageCounts
from isnet.records.evaluate_record import ImageScore, MetricsRecord, OverlayRecord

__all__ = ["Share", "choose_overlays", "count_images", "evaluate", "evaluate_dataset"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Share:
    """What one of several processes counts: images `number`, `number + of`, `number + 2 of`, ..."""

    number: int = 0
    of: int = 1

    def places(self, images: int) -> range:
        """Return the places of its images in a data set."""
        return range(self.number, images, self.of)


@dataclass(frozen=True, eq=False)
class _Predicted:
    """An image and what is predicted of it: `(H, W)` each, the confidence that of single scale."""

    index: int
    sample: EvaluationSample
    single_scale: Labels
    confidence: npt.NDArray[np.float32]
    multi_scale: Labels | None


def _predicted(
    model: EncoderDecoder,
    samples: Iterable[tuple[int, EvaluationSample]],
    protocol: EvaluationProtocol,
) -> Iterator[_Predicted]:
    """Predict one image at a time, with `model` in eval mode."""
    model.eval()
    single, several = protocol.single_scale, protocol.multi_scale
    for index, sample in samples:
        label, sure = predict_with_confidence(model, sample.input_for(single), sample.size, single)
        multi = None
        if several is not None:
            multi = as_labels(predict(model, sample.input_for(several), sample.size, several)[0])
        yield _Predicted(index, sample, as_labels(label[0]), sure[0].cpu().numpy(), multi)


def _tallies(
    model: EncoderDecoder,
    samples: Iterable[tuple[int, EvaluationSample]],
    classes: int,
    protocol: EvaluationProtocol,
    ignore_index: int,
) -> Iterator[ImageCounts]:
    """Count one image while the next one is predicted."""

    def count(predicted: _Predicted) -> ImageCounts:
        sample = predicted.sample
        return ImageCounts.of(
            predicted.index,
            sample.name,
            sample.truth,
            (predicted.single_scale, predicted.confidence),
            predicted.multi_scale,
            classes,
            ignore_index,
            str(sample.image_path),
        )

    return map_in_background(_predicted(model, samples, protocol), count)


def evaluate(
    model: EncoderDecoder,
    samples: Iterable[EvaluationSample],
    classes: Sequence[str],
    protocol: EvaluationProtocol,
    *,
    total: int,
    ignore_index: int = 255,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Score `model` (put into eval mode) on `samples`, one image at a time, and keep nothing on
    disk.

    `on_progress(done, total)` is called after each image.
    """
    tally = EvaluationSums(len(classes))
    for image in _tallies(model, enumerate(samples), len(classes), protocol, ignore_index):
        tally.add(image)
        if on_progress is not None:
            on_progress(len(tally), total)
    return Evaluation.of(tally, classes, protocol)


def count_images(
    model: EncoderDecoder,
    dataset: Any,
    protocol: EvaluationProtocol,
    journals: Path,
    fingerprint: str,
    *,
    share: Share | None = None,
    workers: int | None = None,
    worker_init_fn: Callable[[int], None] | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Count the images of a share that nobody has counted yet, each on disk before the next.

    `journals`: folder of the journals of all shares; `fingerprint`: of what decides the counts
    (weights, data, protocol): journals that were made with something else are restarted; `workers`,
    `worker_init_fn`: see `dataset_samples`, without a number all processes share the cores.
    """
    share = share or Share()
    classes = len(dataset.metainfo["classes"])
    counted = read_journals(journals, classes, fingerprint)
    mine = share.places(len(dataset))
    rest = [index for index in mine if index not in counted]
    if not rest:
        return
    if workers is None:
        workers = num_decode_workers(next(model.parameters()).device) // share.of
    read = dataset_samples(model, dataset, rest, workers, worker_init_fn)
    samples = zip(rest, read, strict=True)
    images = _tallies(model, samples, classes, protocol, dataset.ignore_index)
    with EvaluationJournal(journals, share.number, fingerprint) as journal:
        for place, image in enumerate(images, len(mine) - len(rest) + 1):
            journal.append(image)
            if on_progress is not None:
                on_progress(place, len(mine))


def choose_overlays(
    images: Sequence[ImageScore], sample: int = 8, worst: int = 8
) -> list[tuple[int, Literal["sample", "worst"]]]:
    """Choose (index, why): `sample` images evenly spaced, the same for every run on a data set,
    and the `worst` others by mIoU, worst first.
    """
    count = min(sample, len(images))
    even = [(2 * place + 1) * len(images) // (2 * count) for place in range(count)]
    scored = sorted(
        (image.mIoU, index)
        for index, image in enumerate(images)
        if index not in even and image.mIoU is not None
    )
    chosen: list[tuple[int, Literal["sample", "worst"]]] = [(index, "sample") for index in even]
    return chosen + [(index, "worst") for _, index in scored[:worst]]


def _draw(
    model: EncoderDecoder,
    dataset: Any,
    evaluation: Evaluation,
    directory: Path,
    counts: tuple[int, int],
) -> list[OverlayRecord]:
    """Predict the chosen images once more and write their overlays."""
    images, settings = evaluation.images, evaluation.protocol.single_scale
    chosen = choose_overlays(images, *counts)
    samples = dataset_samples(model, dataset, [index for index, _ in chosen], workers=0)
    rows = []
    for (index, why), sample in zip(chosen, samples, strict=True):
        label, sure = predict_with_confidence(
            model, sample.input_for(settings), sample.size, settings
        )
        files = write_overlays(
            directory / "overlays",
            sample.name,
            read_image(sample.image_path),
            sample.truth,
            as_labels(label[0]),
            sure[0].cpu().numpy(),
            dataset.metainfo["palette"],
            dataset.ignore_index,
        )
        row = OverlayRecord(
            name=sample.name,
            mIoU=images[index].mIoU,
            **{kind: f"overlays/{file}" for kind, file in files.items()},
            class_iou=_class_iou(evaluation, index),
            why=why,
        )
        rows.append(row)
    return rows


def _class_iou(evaluation: Evaluation, index: int) -> dict[str, float]:
    """Return the IoU in one image of each class that is in its truth or its prediction."""
    iou = ClassCounts(evaluation.single_scale.sums.areas[index]).iou.tolist()
    named = zip(evaluation.classes, iou, strict=True)
    return {name: value for name, value in named if value == value}  # without NaN


def _cost(
    model: EncoderDecoder, dataset: Any, protocol: EvaluationProtocol, seconds: float
) -> InferenceCost:
    sample = next(dataset_samples(model, dataset, [0], workers=0))
    return measure_prediction(model, sample.x, sample.size, protocol.single_scale, seconds)


def evaluate_dataset(
    model: EncoderDecoder,
    dataset: Any,
    protocol: EvaluationProtocol,
    directory: Path,
    identity: Mapping[str, Any],
    *,
    journals: Path,
    fingerprint: str = "",
    overlays: tuple[int, int] = (8, 8),
    workers: int | None = None,
    worker_init_fn: Callable[[int], None] | None = None,
    speed_seconds: float = 5.0,
    on_progress: Progress | None = None,
) -> MetricsRecord:
    """Evaluate `model` on an mmseg `dataset` and write `metrics.json`, `per_class.csv`,
    `per_image.csv`, `confusion.csv` and `overlays/` into `directory`.

    `identity`: the fields of metrics.json that the caller knows (run, dataset, weights_sha256, ...,
    environment); `journals`, `fingerprint`, `workers`, `worker_init_fn`: see `count_images`,
    what is counted there is not counted again; `overlays`: how many of the fixed sample and of the
    worst; `speed_seconds`: for how long the speed is measured, on the first image. Returns what
    metrics.json holds.
    """
    if len(dataset) == 0:
        raise UserError(
            "the data set has no images to evaluate", where=str(identity.get("dataset", "evaluate"))
        )
    model.eval()
    cost = _cost(model, dataset, protocol, speed_seconds)
    count_images(
        model,
        dataset,
        protocol,
        journals,
        fingerprint,
        workers=workers,
        worker_init_fn=worker_init_fn,
        on_progress=on_progress,
    )
    classes = dataset.metainfo["classes"]
    evaluation = Evaluation.of(
        read_journals(journals, len(classes), fingerprint), classes, protocol
    )
    rows = _draw(model, dataset, evaluation, directory, overlays)
    return write_results(evaluation, directory, identity, cost, rows)

"""Evaluates a segmentation model on a data set: counts, scores, cost and overlays."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mmseg.models.segmentors import EncoderDecoder

from isnet.errors import UserError
from isnet.inference.background_map import map_in_background
from isnet.inference.dataset_samples import EvaluationSample, dataset_samples, num_decode_workers
from isnet.inference.evaluation_files import (
    Evaluation,
    LabelsAndConfidence,
    predict_sample,
    write_evaluation_overlays,
    write_results,
)
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.inference.inference_cost import measure_cost
from isnet.inference.label_prediction import predict
from isnet.metrics.confusion_matrix import Labels, as_labels
from isnet.metrics.evaluation_journal import EvaluationJournal, read_journals
from isnet.metrics.evaluation_sums import ImageCounts
from isnet.records.run_records import MetricsRecord

Progress = Callable[[int, int], None]
Predicted = tuple[EvaluationSample, LabelsAndConfidence, Labels | None]
"""A sample, its single-scale labels and confidence, and its multi-scale labels (or None)."""


def _predict(
    model: EncoderDecoder, samples: Iterable[EvaluationSample], protocol: EvaluationProtocol
) -> Iterator[Predicted]:
    model.eval()
    multi = protocol.multi_scale
    for sample in samples:
        single, labels = predict_sample(model, sample, protocol.single_scale), None
        if multi is not None:
            labels = as_labels(predict(model, sample.input_for(multi), sample.size, multi)[0])
        yield sample, single, labels


def count_images(
    model: EncoderDecoder,
    dataset: Any,
    protocol: EvaluationProtocol,
    journals: Path,
    fingerprint: str,
    *,
    rank: int = 0,
    world_size: int = 1,
    worker_init_fn: Callable[[int], None] | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Predict the images of one process, and write their pixel counts to its journal.

    The process takes the images `rank`, `rank + world_size`, ... of the data set, except those that
    a journal already holds. The counts of an image are on disk before those of the next image.

    Args:
        model: put into evaluation mode.
        dataset: an mmseg data set with the config's test pipeline.
        protocol: inference settings.
        journals: folder of the journals of all processes.
        fingerprint: digest of all that decides the counts (weights, data, protocol); journals with
            another one are restarted.
        rank, world_size: number of this process, and of all processes.
        worker_init_fn: called first in each process that decodes images.
        on_progress: called with (images done, images of this process).
    """
    classes = len(dataset.metainfo["classes"])
    counted = read_journals(journals, classes, fingerprint)
    mine = range(rank, len(dataset), world_size)
    rest = [index for index in mine if index not in counted]
    if not rest:
        return

    def count(predicted: Predicted) -> ImageCounts:
        sample, single, multi = predicted
        given = (sample.name, sample.label, single, multi, classes, dataset.ignore_index)
        return ImageCounts.of(sample.index, *given, str(sample.image_path))

    workers = num_decode_workers(next(model.parameters()).device) // world_size
    samples = dataset_samples(model, dataset, rest, workers, worker_init_fn)
    with EvaluationJournal(journals, rank, fingerprint) as journal:
        # Counted while the next image is predicted.
        images = map_in_background(_predict(model, samples, protocol), count)
        for done, image in enumerate(images, len(mine) - len(rest) + 1):
            journal.add(image)
            if on_progress is not None:
                on_progress(done, len(mine))


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
    speed_seconds: float = 5.0,
    **settings: Any,
) -> MetricsRecord:
    """Evaluate `model` on an mmseg `dataset` and return the content of metrics.json.

    Args:
        model, dataset, protocol, journals, fingerprint, settings: as for `count_images`. Images in
            the journals are not predicted again.
        directory: where `metrics.json`, `per_class.csv`, `per_image.csv`, `confusion.csv` and
            `overlays/` are written.
        identity: fields of metrics.json that the caller knows (run, dataset, weights_sha256, ...).
        overlays: number of evenly spaced and of worst images with overlays.
        speed_seconds: duration of the cost measurement, on the first image.

    Raises:
        UserError: the data set is empty, or an image cannot be scored.
    """
    if len(dataset) == 0:
        where = str(identity.get("dataset", "evaluate"))
        raise UserError("the data set has no images to evaluate", where=where)
    model.eval()
    first = next(dataset_samples(model, dataset, [0]))
    once = partial(predict, model, first.x, first.size, protocol.single_scale)
    cost = measure_cost(model, first.x, once, speed_seconds)
    count_images(model, dataset, protocol, journals, fingerprint, **settings)
    classes = dataset.metainfo["classes"]
    counted = read_journals(journals, len(classes), fingerprint)
    evaluation = Evaluation(counted, classes, protocol)
    rows = write_evaluation_overlays(model, dataset, evaluation, directory, overlays)
    return write_results(evaluation, directory, identity, cost, rows)

"""Predicts many image files: decoding, inference and writing run concurrently."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice

from isnet.errors import UserError
from isnet.inference.background_map import map_in_background
from isnet.inference.dataset_samples import num_decode_workers
from isnet.inference.input_images import ImageFile, Picture, open_picture
from isnet.inference.prediction_scores import ImagePrediction
from isnet.inference.predictor import Predictor

Write = Callable[[ImageFile, Picture, ImagePrediction], object]


@dataclass(frozen=True, eq=False)
class PredictedFile:
    """An image file with its prediction, or with the error that prevented the prediction."""

    file: ImageFile
    pixels: Picture | None = None
    prediction: ImagePrediction | None = None
    error: UserError | None = None


def predict_files(
    predictor: Predictor, files: Iterable[ImageFile], write: Write
) -> Iterator[PredictedFile]:
    """Predict image files, and yield each file in order after `write` has stored its prediction.

    A file that cannot be read or predicted is yielded with its `UserError`. Exceptions of `write`
    are raised here.
    """

    def write_batch(batch: list[PredictedFile]) -> list[PredictedFile]:
        for one in batch:
            if one.pixels is not None and one.prediction is not None:
                write(one.file, one.pixels, one.prediction)
        return batch

    decode = partial(_decode, predictor)
    decoded = map_in_background(files, decode, num_decode_workers(predictor.device) or 1)
    predicted = (_predict(predictor, batch) for batch in _batches(predictor, decoded))
    for batch in map_in_background(predicted, write_batch):
        yield from batch


def _decode(predictor: Predictor, file: ImageFile) -> PredictedFile:
    above = predictor.windows_above
    try:
        picture = open_picture(file.path, predictor.pixel_format, windows_above=above)
        return PredictedFile(file, picture)
    except UserError as error:
        return PredictedFile(file, error=error)


def _batches(
    predictor: Predictor, decoded: Iterable[PredictedFile]
) -> Iterator[list[PredictedFile]]:
    """Group consecutive images of the same size into batches; a file with an error is alone."""
    sizes = groupby(decoded, lambda one: None if one.pixels is None else one.pixels.shape[:2])
    for size, group in sizes:
        count = 1 if size is None else predictor.batch_size((size[0], size[1]))
        while batch := list(islice(group, count)):
            yield batch


def _predict(predictor: Predictor, batch: list[PredictedFile]) -> list[PredictedFile]:
    images = [one.pixels for one in batch if one.pixels is not None]
    if not images:
        return batch
    try:
        predictions = predictor.predict(images)
    except UserError as error:
        return [PredictedFile(one.file, error=error) for one in batch]
    return [replace(one, prediction=found) for one, found in zip(batch, predictions, strict=True)]

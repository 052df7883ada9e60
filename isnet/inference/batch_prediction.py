"""Predicts many image files: decoding, the network and writing run at the same time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from isnet.errors import UserError
from isnet.inference.background_map import map_in_background
from isnet.inference.dataset_samples import num_decode_workers
from isnet.inference.input_images import ImageFile, RgbImage, read_rgb
from isnet.inference.predictor import ImagePrediction, Predictor

Write = Callable[[ImageFile, RgbImage, ImagePrediction], None]


@dataclass(frozen=True, eq=False)
class PredictedFile:
    """An image file with its prediction, or with the error that prevented one."""

    file: ImageFile
    pixels: RgbImage | None = None
    prediction: ImagePrediction | None = None
    error: UserError | None = None


def predict_files(
    predictor: Predictor, files: Iterable[ImageFile], write: Write
) -> Iterator[PredictedFile]:
    """Yield each file, in order, after its prediction was written.

    A file that cannot be read or predicted is yielded with its `UserError`. Exceptions of `write`
    are raised here.
    """

    def write_group(group: list[PredictedFile]) -> list[PredictedFile]:
        for one in group:
            if one.pixels is not None and one.prediction is not None:
                write(one.file, one.pixels, one.prediction)
        return group

    decoded = map_in_background(files, _decode, num_decode_workers(predictor.device) or 1)
    predicted = (_predict(predictor, group) for group in _batches(predictor, decoded))
    for group in map_in_background(predicted, write_group):
        yield from group


def _decode(file: ImageFile) -> PredictedFile:
    try:
        return PredictedFile(file, read_rgb(file.path))
    except UserError as error:
        return PredictedFile(file, error=error)


def _batches(
    predictor: Predictor, decoded: Iterable[PredictedFile]
) -> Iterator[list[PredictedFile]]:
    """Yield consecutive images of one size, at most a batch; files with an error come alone."""
    group: list[PredictedFile] = []
    for one in decoded:
        if group and not _fits_batch(predictor, group, one):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _fits_batch(predictor: Predictor, group: list[PredictedFile], one: PredictedFile) -> bool:
    first, last = group[0].pixels, one.pixels
    if first is None or last is None or first.shape != last.shape:
        return False
    return len(group) < predictor.batch_size((first.shape[0], first.shape[1]))


def _predict(predictor: Predictor, group: list[PredictedFile]) -> list[PredictedFile]:
    images = [one.pixels for one in group if one.pixels is not None]
    if not images:
        return group
    try:
        predictions = predictor.predict(images)
    except UserError as error:
        return [PredictedFile(one.file, error=error) for one in group]
    return [
        PredictedFile(one.file, one.pixels, prediction)
        for one, prediction in zip(group, predictions, strict=True)
    ]

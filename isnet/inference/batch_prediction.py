"""CheckImages predicted one after the other: reading, the network and writing at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from isnet.errors import UserError
from isnet.inference.background_map import map_in_background
from isnet.inference.dataset_samples import num_decode_workers
from isnet.inference.image_files import ImageFile, read_image
from isnet.inference.predictor import ImagePrediction, Predictor, RgbImage

__all__ = ["PredictedFile", "predict_files"]

Write = Callable[[ImageFile, RgbImage, ImagePrediction], None]


@dataclass(frozen=True, eq=False)
class PredictedFile:
    """What became of a file: its prediction, or why there is none."""

    file: ImageFile
    prediction: ImagePrediction | None = None
    refused: UserError | None = None


@dataclass(frozen=True, eq=False)
class _Read:
    file: ImageFile
    pixels: RgbImage | UserError


def predict_files(
    predictor: Predictor, files: Iterable[ImageFile], write: Write
) -> Iterator[PredictedFile]:
    """Yield the outcome of each file, in their order, after it was written.

    A file that is no picture, or that the predictor refuses, is an outcome, and the next one is
    predicted. What `write` raises is raised here.
    """

    def written(group: list[tuple[_Read, ImagePrediction | UserError]]) -> list[PredictedFile]:
        return [_written(read, found, write) for read, found in group]

    groups = (
        _predicted(predictor, group) for group in _groups(predictor, _read_ahead(predictor, files))
    )
    for outcomes in map_in_background(groups, written):
        yield from outcomes


def _written(read: _Read, found: ImagePrediction | UserError, write: Write) -> PredictedFile:
    if isinstance(found, UserError) or isinstance(read.pixels, UserError):
        refusal = found if isinstance(found, UserError) else read.pixels
        assert isinstance(refusal, UserError)
        return PredictedFile(read.file, refused=refusal)
    write(read.file, read.pixels, found)
    return PredictedFile(read.file, found)


def _read_ahead(predictor: Predictor, files: Iterable[ImageFile]) -> Iterator[_Read]:
    """Yield the pictures in order; threads decode the next ones, since decoding holds no lock."""
    workers = num_decode_workers(predictor.device) or 1
    waiting: deque[Future[_Read]] = deque()
    with ThreadPoolExecutor(workers) as threads:
        try:
            for file in files:
                waiting.append(threads.submit(_read, file))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(file: ImageFile) -> _Read:
    try:
        return _Read(file, read_image(file.path))
    except UserError as refusal:
        return _Read(file, refusal)


def _groups(predictor: Predictor, pictures: Iterable[_Read]) -> Iterator[list[_Read]]:
    """Yield neighbours of one size together, as many as one batch holds; the unreadable alone."""
    group: list[_Read] = []
    for read in pictures:
        if group and not _together(predictor, group, read):
            yield group
            group = []
        group.append(read)
    if group:
        yield group


def _together(predictor: Predictor, group: list[_Read], read: _Read) -> bool:
    first, last = group[0].pixels, read.pixels
    if isinstance(first, UserError) or isinstance(last, UserError) or first.shape != last.shape:
        return False
    return len(group) < predictor.at_once((first.shape[0], first.shape[1]))


def _predicted(
    predictor: Predictor, group: list[_Read]
) -> list[tuple[_Read, ImagePrediction | UserError]]:
    pixels = [read.pixels for read in group if not isinstance(read.pixels, UserError)]
    if not pixels:
        return [(read, read.pixels) for read in group if isinstance(read.pixels, UserError)]
    try:
        return list(zip(group, predictor.predict(pixels), strict=True))
    except UserError as refusal:
        return [(read, refusal) for read in group]

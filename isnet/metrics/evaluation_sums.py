"""Pixel counts of an evaluation as integers, whose sums do not depend on the order of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isnet.errors import UserError
from isnet.io.atomic_files import digest_of
from isnet.metrics.boundary_iou import boundary_counts
from isnet.metrics.calibration import BINS, calibration_counts
from isnet.metrics.confusion_matrix import ClassCounts, Labels, Matrix, confusion_matrix


@dataclass(frozen=True, eq=False)
class PredictionCounts:
    """Counts of one prediction of an image.

    `confusion`: `(K, K)` int64 with labelled classes as rows; `boundary`: `(K, 3)` int64 (see
    `boundary_counts`).
    """

    confusion: Matrix
    boundary: Matrix

    @classmethod
    def of(
        cls, label: Labels, prediction: Labels, num_classes: int, ignore_index: int, name: str
    ) -> PredictionCounts:
        """Count a prediction `(H, W)`; errors name the image as `name`."""
        return cls(
            confusion_matrix(label, prediction, num_classes, ignore_index, name=name),
            boundary_counts(label, prediction, num_classes, ignore_index),
        )


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """All counts of one image.

    `index`: its position in the data set; `calibration`: `(15, 3)` int64 of the single-scale
    prediction (see `calibration_counts`).
    """

    index: int
    name: str
    single_scale: PredictionCounts
    multi_scale: PredictionCounts | None
    calibration: Matrix

    @classmethod
    def of(
        cls,
        index: int,
        name: str,
        label: Labels,
        single_scale: tuple[Labels, npt.NDArray[np.float32]],
        multi_scale: Labels | None,
        num_classes: int,
        ignore_index: int,
        where: str,
    ) -> ImageCounts:
        """Count the single-scale prediction with its confidence, and the multi-scale prediction;
        all are `(H, W)`. Errors name the image as `where`.
        """
        prediction, confidence = single_scale
        given = (num_classes, ignore_index, where)
        return cls(
            index,
            name,
            PredictionCounts.of(label, prediction, *given),
            None if multi_scale is None else PredictionCounts.of(label, multi_scale, *given),
            calibration_counts(label, prediction, confidence, ignore_index),
        )

    def record(self) -> dict[str, Any]:
        """Return a JSON object; counts are stored without zeros: index, count, index, ..."""
        views = {"single_scale": self.single_scale, "multi_scale": self.multi_scale}
        return {
            "index": self.index,
            "name": self.name,
            **{
                key: counts and {name: _sparse(array) for name, array in vars(counts).items()}
                for key, counts in views.items()
            },
            "calibration": _sparse(self.calibration),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], classes: int) -> ImageCounts:
        """Read a `record`."""

        def view(counts: Mapping[str, list[int]]) -> PredictionCounts:
            return PredictionCounts(
                _dense(counts["confusion"], (classes, classes)),
                _dense(counts["boundary"], (classes, 3)),
            )

        return cls(
            record["index"],
            record["name"],
            view(record["single_scale"]),
            view(record["multi_scale"]) if record["multi_scale"] else None,
            _dense(record["calibration"], (BINS, 3)),
        )


@dataclass(frozen=True, eq=False)
class PredictionSums:
    """Summed confusion `(K, K)` of all images, and `areas` and `boundary` `(N, K, 3)` of each
    image (see `ClassCounts`); all int64.
    """

    confusion: Matrix
    areas: Matrix
    boundary: Matrix


class _RunningSums:
    """Sums over the images predicted with one setting; 24 bytes per class are kept of an image."""

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.rows: dict[int, npt.NDArray[np.int32]] = {}

    def add(self, index: int, counts: PredictionCounts) -> None:
        self.confusion += counts.confusion
        areas = ClassCounts.from_matrix(counts.confusion).counts
        self.rows[index] = np.stack([areas, counts.boundary]).astype(np.int32)

    def sums(self) -> PredictionSums:
        ordered = [rows for _, rows in sorted(self.rows.items())]
        both = np.reshape(ordered, (-1, 2, len(self.confusion), 3)).astype(np.int64)
        return PredictionSums(self.confusion.copy(), both[:, 0], both[:, 1])


class EvaluationSums:
    """Counts of all images that an evaluation has predicted so far.

    They are the same to the bit in whatever order images are added and however they were
    distributed over processes. `EvaluationJournal` keeps the record of each image on disk.

    Args:
        classes: number of classes.
        images: counts to add first.
    """

    def __init__(self, classes: int, images: Iterable[ImageCounts] = ()) -> None:
        self._single, self._multi = _RunningSums(classes), _RunningSums(classes)
        self._calibration = np.zeros((BINS, 3), np.int64)
        self._seen: dict[int, tuple[str, str]] = {}
        for image in images:
            self.add(image)

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, index: int) -> bool:
        return index in self._seen

    def add(self, image: ImageCounts) -> None:
        """Add an image once; the same counts again change nothing.

        Raises:
            UserError: the image was added before with other counts.
        """
        new = (image.name, digest_of(image.record()))
        if (known := self._seen.get(image.index)) is not None:
            if known != new:
                raise UserError(
                    f"image {image.name} was counted twice",
                    hint="Delete the evaluation's folder under work/ and evaluate again",
                )
            return
        self._seen[image.index] = new
        self._single.add(image.index, image.single_scale)
        if image.multi_scale is not None:
            self._multi.add(image.index, image.multi_scale)
        self._calibration += image.calibration

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images in the data set's order."""
        return tuple(name for _, (name, _) in sorted(self._seen.items()))

    def single_scale(self) -> PredictionSums:
        """Return the sums of the single-scale predictions."""
        return self._single.sums()

    def multi_scale(self) -> PredictionSums | None:
        """Return the sums of the multi-scale predictions; None without any."""
        return self._multi.sums() if self._multi.rows else None

    def calibration(self) -> Matrix:
        """Return the sums of `calibration_counts`, `(15, 3)` int64."""
        return self._calibration.copy()


def _sparse(counts: Matrix) -> list[int]:
    flat = counts.reshape(-1)
    indices = np.flatnonzero(flat)
    return [int(value) for value in np.stack([indices, flat[indices]], axis=1).reshape(-1)]


def _dense(record: list[int], shape: tuple[int, int]) -> Matrix:
    pairs = np.asarray(record, np.int64).reshape(-1, 2)
    counts = np.zeros(shape[0] * shape[1], np.int64)
    counts[pairs[:, 0]] = pairs[:, 1]
    return counts.reshape(shape)

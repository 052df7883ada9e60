"""What is counted while images are scored: integers that add up to the same in any order."""

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

__all__ = ["EvaluationSums", "ImageCounts", "PredictionCounts", "PredictionSums"]


@dataclass(frozen=True, eq=False)
class PredictionCounts:
    """One image predicted in one way.

    `confusion`: `(K, K)` int64, rows are truth; `boundary`: `(K, 3)` int64 (see `boundary_counts`).
    """

    confusion: Matrix
    boundary: Matrix

    def record(self) -> dict[str, list[int]]:
        """Return it for JSON, without zeros: place, count, place, count, ..."""
        return {"confusion": _sparse(self.confusion), "boundary": _sparse(self.boundary)}

    @classmethod
    def from_record(cls, record: Mapping[str, list[int]], classes: int) -> PredictionCounts:
        """Undo `record`."""
        return cls(
            _dense(record["confusion"], (classes, classes)),
            _dense(record["boundary"], (classes, 3)),
        )


def _tally_view(
    truth: Labels, prediction: Labels, num_classes: int, ignore_index: int, name: str
) -> PredictionCounts:
    """Count one prediction `(H, W)`; `name` says in errors whose labels they are."""
    return PredictionCounts(
        confusion_matrix(truth, prediction, num_classes, ignore_index, name=name),
        boundary_counts(truth, prediction, num_classes, ignore_index),
    )


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """All that is counted of one image.

    `index`: its place in the data set; `calibration`: `(15, 3)` int64 (see `calibration_counts`),
    of the single-scale prediction.
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
        truth: Labels,
        single_scale: tuple[Labels, npt.NDArray[np.float32]],
        multi_scale: Labels | None,
        num_classes: int,
        ignore_index: int,
        where: str,
    ) -> ImageCounts:
        """Count an image's predictions `(H, W)`: single scale with its confidence, and that of
        several scales; `where` names the image in errors.
        """
        label, confidence = single_scale
        counted = (num_classes, ignore_index, where)
        return cls(
            index,
            name,
            _tally_view(truth, label, *counted),
            None if multi_scale is None else _tally_view(truth, multi_scale, *counted),
            calibration_counts(truth, label, confidence, ignore_index),
        )

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        several = self.multi_scale
        return {
            "index": self.index,
            "name": self.name,
            "single_scale": self.single_scale.record(),
            "multi_scale": several.record() if several else None,
            "calibration": _sparse(self.calibration),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], classes: int) -> ImageCounts:
        """Undo `record`."""
        several = record["multi_scale"]
        return cls(
            record["index"],
            record["name"],
            PredictionCounts.from_record(record["single_scale"], classes),
            PredictionCounts.from_record(several, classes) if several else None,
            _dense(record["calibration"], (BINS, 3)),
        )


@dataclass(frozen=True, eq=False)
class PredictionSums:
    """Images predicted in one way: the sum of their confusion `(K, K)`, and of each image the
    `areas` and `boundary` `(N, K, 3)`; all int64.
    """

    confusion: Matrix
    areas: Matrix
    boundary: Matrix


class _View:
    """Adds up images predicted in one way; what it keeps of each is 24 bytes a class."""

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self.rows: dict[int, npt.NDArray[np.int32]] = {}

    def add(self, index: int, view: PredictionCounts) -> None:
        self.confusion += view.confusion
        areas = ClassCounts.of(view.confusion).counts
        self.rows[index] = np.stack([areas, view.boundary]).astype(np.int32)

    def merge(self, other: _View) -> None:
        self.confusion += other.confusion
        self.rows |= other.rows

    def sums(self) -> PredictionSums:
        ordered = [rows for _, rows in sorted(self.rows.items())]
        empty = np.zeros((0, 2, len(self.confusion), 3), np.int32)
        both = np.stack(ordered) if ordered else empty
        areas, boundary = (both[:, part].astype(np.int64) for part in (0, 1))
        return PredictionSums(self.confusion.copy(), areas, boundary)


class EvaluationSums:
    """The state of an evaluation: what is counted so far, additive.

    Two journals of different images add up to the tally of all of them, bit for bit, however the
    images were dealt out to processes and in whatever order they came. Its records, an image each,
    are what is kept on disk (`EvaluationJournal`).

    Args:
        classes: number of classes.
        images: what it begins with.
    """

    def __init__(self, classes: int, images: Iterable[ImageCounts] = ()) -> None:
        self.classes = classes
        self._single, self._multi = _View(classes), _View(classes)
        self._calibration = np.zeros((BINS, 3), np.int64)
        self._seen: dict[int, tuple[str, str]] = {}
        for image in images:
            self.add(image)

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, index: int) -> bool:
        return index in self._seen

    def add(self, image: ImageCounts) -> None:
        """Count an image; one that is counted already must be the same, and changes nothing."""
        new = (image.name, digest_of(image.record()))
        if self._seen.setdefault(image.index, new) != new:
            raise _twice(image.name)
        if image.index in self._single.rows:
            return
        self._single.add(image.index, image.single_scale)
        if image.multi_scale is not None:
            self._multi.add(image.index, image.multi_scale)
        self._calibration += image.calibration

    def __add__(self, other: EvaluationSums) -> EvaluationSums:
        total = EvaluationSums(self.classes)
        for part in (self, other):
            if shared := total._seen.keys() & part._seen.keys():
                raise _twice(part._seen[min(shared)][0])
            total._seen |= part._seen
            total._single.merge(part._single)
            total._multi.merge(part._multi)
            total._calibration += part._calibration
        return total

    @property
    def names(self) -> tuple[str, ...]:
        """The images' names, in the order of the data set."""
        return tuple(name for _, (name, _) in sorted(self._seen.items()))

    def single_scale(self) -> PredictionSums:
        """Return the sums of the single-scale predictions, images in the order of the data set."""
        return self._single.sums()

    def multi_scale(self) -> PredictionSums | None:
        """Return those of several scales; None where there are none."""
        return self._multi.sums() if self._multi.rows else None

    def calibration(self) -> Matrix:
        """Return the sums over the images, `(15, 3)` int64."""
        return self._calibration.copy()


def _twice(name: str) -> UserError:
    return UserError(
        f"image {name} was counted twice",
        hint="Delete the evaluation's folder under work/ and evaluate again",
    )


def _sparse(counts: Matrix) -> list[int]:
    flat = counts.reshape(-1)
    places = np.flatnonzero(flat)
    return [int(value) for value in np.stack([places, flat[places]], axis=1).reshape(-1)]


def _dense(record: list[int], shape: tuple[int, int]) -> Matrix:
    pairs = np.asarray(record, np.int64).reshape(-1, 2)
    counts = np.zeros(shape[0] * shape[1], np.int64)
    counts[pairs[:, 0]] = pairs[:, 1]
    return counts.reshape(shape)

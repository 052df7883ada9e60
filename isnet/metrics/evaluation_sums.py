"""Sums the pixel counts of an evaluation as integers, independently of the order of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
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
    """Pixel counts of one prediction of an image with K classes."""

    confusion: Matrix
    """`(K, K)` int64, labelled classes as rows."""
    boundary: Matrix
    """`(K, 3)` int64, see `boundary_counts`."""


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Pixel counts of all predictions of an image."""

    index: int
    """Position of the image in the data set."""
    name: str
    single_scale: PredictionCounts
    multi_scale: PredictionCounts | None
    calibration: Matrix
    """`(15, 3)` int64, of the single-scale prediction (see `calibration_counts`)."""

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
        """Count the pixels of the single-scale and the multi-scale prediction of an image.

        `single_scale`: labels and their confidence. All arrays are `(H, W)`. Errors call the image
        `where`.
        """

        def count(labels: Labels) -> PredictionCounts:
            given = (label, labels, num_classes, ignore_index)
            return PredictionCounts(confusion_matrix(*given, name=where), boundary_counts(*given))

        prediction, confidence = single_scale
        multi = None if multi_scale is None else count(multi_scale)
        calibration = calibration_counts(label, prediction, confidence, ignore_index)
        return cls(index, name, count(prediction), multi, calibration)

    def record(self) -> dict[str, Any]:
        """Convert the counts to a JSON object.

        Zeros are left out: an array is stored as a flat list of index, count, index, count ...
        """
        return asdict(self, dict_factory=_sparse_arrays)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], classes: int) -> ImageCounts:
        """Create the counts from a JSON object that `record` returned."""

        def view(counts: Mapping[str, list[int]]) -> PredictionCounts:
            confusion = _dense(counts["confusion"], (classes, classes))
            return PredictionCounts(confusion, _dense(counts["boundary"], (classes, 3)))

        single, multi = record["single_scale"], record["multi_scale"]
        calibration = _dense(record["calibration"], (BINS, 3))
        views = view(single), view(multi) if multi else None
        return cls(record["index"], record["name"], *views, calibration)


class PredictionSums:
    """Pixel counts of the images that were predicted with one set of inference settings, int64.

    `confusion` `(K, K)` is the sum over all images. `areas` and `boundary` `(N, K, 3)` keep the
    counts of each of the N images, in the data set's order (see `ClassCounts`).
    """

    def __init__(self, classes: int) -> None:
        self.confusion = np.zeros((classes, classes), np.int64)
        self._rows: dict[int, npt.NDArray[np.int32]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, index: int, counts: PredictionCounts) -> None:
        """Add the counts of an image."""
        self.confusion += counts.confusion
        areas = ClassCounts.from_matrix(counts.confusion).counts
        self._rows[index] = np.stack([areas, counts.boundary]).astype(np.int32)

    @property
    def areas(self) -> Matrix:
        """True positive, false negative and false positive pixels of each image and class."""
        return self._counts[:, 0]

    @property
    def boundary(self) -> Matrix:
        """Boundary pixels of each image and class, in the same form as `areas`."""
        return self._counts[:, 1]

    @property
    def _counts(self) -> Matrix:
        rows = [rows for _, rows in sorted(self._rows.items())]
        return np.reshape(rows, (-1, 2, len(self.confusion), 3)).astype(np.int64)


class EvaluationSums:
    """Sums of the pixel counts of all images that an evaluation has predicted so far.

    The sums are the same to the bit for any order of images and any distribution over processes.
    """

    def __init__(self, classes: int, images: Iterable[ImageCounts] = ()) -> None:
        self.single_scale, self.multi_scale = PredictionSums(classes), PredictionSums(classes)
        self.calibration = np.zeros((BINS, 3), np.int64)
        self._seen: dict[int, tuple[str, str]] = {}
        for image in images:
            self.add(image)

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, index: int) -> bool:
        return index in self._seen

    def add(self, image: ImageCounts) -> None:
        """Add the counts of an image. Adding the same counts again changes nothing.

        Raises UserError if the image was added before with other counts.
        """
        new = (image.name, digest_of(image.record()))
        known = self._seen.setdefault(image.index, new)
        if known != new:
            hint = "Delete the evaluation's folder under work/ and evaluate again"
            raise UserError(f"image {image.name} was counted twice", hint=hint)
        if known is not new:
            return
        self.single_scale.add(image.index, image.single_scale)
        if image.multi_scale is not None:
            self.multi_scale.add(image.index, image.multi_scale)
        self.calibration += image.calibration

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images in the data set's order."""
        return tuple(name for _, (name, _) in sorted(self._seen.items()))


def _sparse_arrays(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _sparse(one) if isinstance(one, np.ndarray) else one for name, one in fields}


def _sparse(counts: Matrix) -> list[int]:
    flat = counts.reshape(-1)
    indices = np.flatnonzero(flat)
    pairs: list[int] = np.stack([indices, flat[indices]], axis=1).reshape(-1).tolist()
    return pairs


def _dense(record: list[int], shape: tuple[int, int]) -> Matrix:
    pairs = np.asarray(record, np.int64).reshape(-1, 2)
    counts = np.zeros(shape, np.int64)
    counts.reshape(-1)[pairs[:, 0]] = pairs[:, 1]
    return counts

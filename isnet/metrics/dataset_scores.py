"""All scores of a data set that was predicted with one setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from isnet.metrics.benchmark_scores import benchmark_scores, null
from isnet.metrics.bootstrap import Intervals, bootstrap
from isnet.metrics.confusion_matrix import ClassCounts
from isnet.metrics.evaluation_sums import PredictionSums

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DatasetScores:
    """Scores in 0..1, NaN where absent, from the counts of all images in the data set's order."""

    sums: PredictionSums

    @property
    def scores(self) -> ClassCounts:
        """Pixels of all images together, `(K, 3)`."""
        return ClassCounts.from_matrix(self.sums.confusion)

    @property
    def boundary(self) -> ClassCounts:
        """Boundary pixels of all images together, `(K, 3)`."""
        return ClassCounts(self.sums.boundary.sum(axis=0))

    @cached_property
    def intervals(self) -> Intervals | None:
        """Bootstrap intervals; None for fewer than two images."""
        return bootstrap(self.sums.areas)

    @cached_property
    def images(self) -> dict[str, Values]:
        """Scores of each image over the classes in it, each `(N,)`: mIoU, aAcc, boundary_mIoU."""
        whole = ClassCounts(self.sums.areas).summary()
        boundary = ClassCounts(self.sums.boundary).summary()["mIoU"]
        return {"mIoU": whole["mIoU"], "aAcc": whole["aAcc"], "boundary_mIoU": boundary}

    @property
    def class_bounds(self) -> Values:
        """Lower and upper bound of each class's IoU, `(K, 2)`."""
        classes = len(self.sums.confusion)
        return np.full((classes, 2), np.nan) if self.intervals is None else self.intervals.iou

    def summary(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the scores of the data set for JSON: means, their intervals, and the additional
        scores of the benchmark with these classes.
        """
        means = self.scores.summary() | {"boundary_mIoU": self.boundary.summary()["mIoU"]}
        return {
            **{name: null(float(mean)) for name, mean in means.items()},
            "intervals": self._intervals(),
            **benchmark_scores(self.sums.confusion, classes),
        }

    def _intervals(self) -> dict[str, list[float | None]] | None:
        boundary = bootstrap(self.sums.boundary)
        if self.intervals is None or boundary is None:
            return None
        means = self.intervals.means | {"boundary_mIoU": boundary.means["mIoU"]}
        return {name: [null(low), null(high)] for name, (low, high) in means.items()}

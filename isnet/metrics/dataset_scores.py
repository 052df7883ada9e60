"""All scores of a data set that was predicted with one setting."""

from collections.abc import Sequence
from typing import Any

from isnet.metrics.benchmark_scores import benchmark_scores, null
from isnet.metrics.bootstrap import bootstrap
from isnet.metrics.confusion_matrix import ClassCounts, Values
from isnet.metrics.evaluation_sums import PredictionSums


class DatasetScores:
    """Scores in 0..1, NaN where absent, from the counts of all images.

    `counts`, `boundary`: pixels and boundary pixels of all images together, `(K, 3)`; `intervals`:
    of bootstrap, None for fewer than two images.
    """

    def __init__(self, sums: PredictionSums) -> None:
        self.sums = sums
        self.counts = ClassCounts.from_matrix(sums.confusion)
        self.boundary = ClassCounts(sums.boundary.sum(axis=0))
        self.intervals = bootstrap(sums.areas)

    @property
    def images(self) -> dict[str, Values]:
        """Scores of each image over the classes in it, each `(N,)`: mIoU, aAcc, boundary_mIoU."""
        whole = ClassCounts(self.sums.areas).summary()
        boundary = ClassCounts(self.sums.boundary).summary()["mIoU"]
        return {"mIoU": whole["mIoU"], "aAcc": whole["aAcc"], "boundary_mIoU": boundary}

    def summary(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the scores of the data set for JSON: means, their intervals, and the additional
        scores of the benchmark with these classes.
        """
        means = self.counts.summary() | {"boundary_mIoU": self.boundary.summary()["mIoU"]}
        boundary, intervals = bootstrap(self.sums.boundary), None
        if self.intervals is not None and boundary is not None:
            bounds = self.intervals.means | {"boundary_mIoU": boundary.means["mIoU"]}
            intervals = {name: [null(low), null(high)] for name, (low, high) in bounds.items()}
        return {
            **{name: null(float(mean)) for name, mean in means.items()},
            "intervals": intervals,
            **benchmark_scores(self.sums.confusion, classes),
        }

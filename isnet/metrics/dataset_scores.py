"""All scores of a data set predicted with one set of inference settings."""

from collections.abc import Sequence
from typing import Any

from isnet.metrics.benchmark_scores import benchmark_scores, null
from isnet.metrics.bootstrap import bootstrap
from isnet.metrics.confusion_matrix import ClassCounts, Values
from isnet.metrics.evaluation_sums import PredictionSums


class DatasetScores:
    """Scores of a data set in 0..1, computed from the counts of its images; NaN where absent.

    `counts` are the pixels of all images, `boundary` their boundary pixels, and `intervals` the
    bootstrap intervals, None for fewer than two images.
    """

    def __init__(self, sums: PredictionSums) -> None:
        self.sums = sums
        self.counts = ClassCounts.from_matrix(sums.confusion)
        self.boundary = ClassCounts(sums.boundary.sum(axis=0))
        self.intervals = bootstrap(sums.areas)

    @property
    def images(self) -> dict[str, Values]:
        """Scores `(N,)` of the N images over the classes in each: mIoU, aAcc and boundary_mIoU."""
        whole = ClassCounts(self.sums.areas).summary()
        boundary = ClassCounts(self.sums.boundary).summary()["mIoU"]
        return {"mIoU": whole["mIoU"], "aAcc": whole["aAcc"], "boundary_mIoU": boundary}

    def summary(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the scores of the data set for JSON.

        These are means, their intervals, and the additional scores of the benchmark with these
        classes.
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

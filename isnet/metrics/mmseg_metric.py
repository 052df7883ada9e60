"""Validation metric for mmengine's loops that computes scores from a confusion matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from isnet.metrics.confusion_matrix import ClassCounts, Matrix, confusion_matrix


@METRICS.register_module()
class ConfusionMetric(BaseMetric):
    """All scores of mmseg's `IoUMetric`, under its names, in 0..1 at full precision.

    Config: `val_evaluator=dict(type='ConfusionMetric')`. mmseg's `IoUMetric` keeps four float32
    vectors per image and rounds percentages to two decimals. This metric sums one int64 matrix per
    rank, so that the result does not depend on the distribution of the images.
    """

    default_prefix = ""  # mmengine warns of None
    scores = ("mIoU", "mAcc", "aAcc", "mDice", "mFscore", "mPrecision", "mRecall")

    def __init__(self, ignore_index: int = 255, **settings: Any) -> None:
        """Initialise the metric. `settings` (such as `prefix`) go to `BaseMetric`."""
        super().__init__(**settings)
        self.ignore_index = ignore_index
        self._sum: Matrix | int = 0
        self._last: Matrix | int = 0
        self._images = 0

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count the pixels of each sample.

        A sample has `pred_sem_seg.data` and `gt_sem_seg.data`, each `(1, H, W)`.
        """
        del data_batch
        for sample in data_samples:
            self._last = confusion_matrix(
                sample["gt_sem_seg"]["data"],
                sample["pred_sem_seg"]["data"],
                self._num_classes,
                self.ignore_index,
                name=str(sample.get("img_path", "labels")),
            )
            self._sum = self._sum + self._last
            self._images += 1

    @property
    def _num_classes(self) -> int:
        assert self.dataset_meta is not None, "the evaluator sets dataset_meta before it processes"
        return len(self.dataset_meta["classes"])

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum the confusion matrices over all ranks and return the scores.

        `size`: number of images in the data set. mmengine's sampler gives image i to rank i mod
        ranks, and repeats images so that all ranks have equally many. The last image of a rank is
        therefore a repetition if its position is `size` or more.
        """
        rank, ranks = get_dist_info()
        is_repeated = rank + (self._images - 1) * ranks >= size
        total = self._sum - self._last if is_repeated else self._sum
        summed = torch.from_numpy(np.zeros((self._num_classes,) * 2, np.int64) + total)
        all_reduce(summed, op="sum")
        self._sum = self._last = self._images = 0
        summary = ClassCounts.from_matrix(summed.cpu().numpy()).summary()
        prefix = f"{self.prefix}/" if self.prefix else ""
        return {f"{prefix}{name}": float(summary[name]) for name in self.scores}

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Raise an AssertionError: `evaluate` returns the scores instead."""
        raise AssertionError("evaluate keeps no results")

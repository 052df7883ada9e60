"""The confusion matrix as a validation metric of mmseg's loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_dist_info
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from isnet.metrics.confusion_matrix import Matrix, Scores, confusion_matrix

__all__ = ["ConfusionMetric"]


@METRICS.register_module()
class ConfusionMetric(BaseMetric):
    """`val_evaluator=dict(type='ConfusionMetric')`: mIoU, mAcc and aAcc as fractions, in full
    precision.

    Where mmseg's `IoUMetric` keeps four float32 vectors per image and rounds percentages to two
    decimals, this keeps one int64 matrix per rank (and that of its last image) and adds them over
    the ranks, so that the result does not depend on how the images were dealt out.
    """

    default_prefix = "val"

    def __init__(self, ignore_index: int = 255, **settings: Any) -> None:
        """Take the ignored label; `settings` (`prefix`) go to `BaseMetric`."""
        super().__init__(**settings)
        self.ignore_index = ignore_index
        self._reset()

    def _reset(self) -> None:
        self._sum: Matrix | None = None
        self._last: Matrix | None = None
        self._seen = 0

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Count the pixels of each sample: `pred_sem_seg.data` and `gt_sem_seg.data`, both `(1,
        H, W)`.
        """
        del data_batch
        assert self.dataset_meta is not None, "the evaluator sets dataset_meta before it processes"
        for sample in data_samples:
            self._sum = self._counted(self._last)
            self._last = confusion_matrix(
                sample["gt_sem_seg"]["data"],
                sample["pred_sem_seg"]["data"],
                len(self.dataset_meta["classes"]),
                self.ignore_index,
                name=str(sample.get("img_path", "labels")),
            )
            self._seen += 1

    def _counted(self, last: Matrix | None) -> Matrix:
        assert self.dataset_meta is not None
        classes = len(self.dataset_meta["classes"])
        total = np.zeros((classes, classes), np.int64) if self._sum is None else self._sum
        return total if last is None else total + last

    def evaluate(self, size: int) -> dict[str, float]:
        """Add the matrices of all ranks and return the scores; `size` is the number of images in
        the data set.

        The sampler deals image i to rank i mod ranks and repeats images to make the ranks even, so
        a rank's last image is a repetition when its place is `size` or beyond (the assumption of
        mmengine's `collect_results`).
        """
        rank, ranks = get_dist_info()
        repeated = self._seen > 0 and rank + (self._seen - 1) * ranks >= size
        total = torch.from_numpy(self._counted(None if repeated else self._last).copy())
        all_reduce(total, op="sum")
        self._reset()
        return {
            f"{self.prefix}/{name}": value
            for name, value in Scores(total.cpu().numpy()).summary().items()
        }

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Not used: `evaluate` keeps no results to compute from."""
        raise AssertionError("evaluate keeps no results")

"""An image and its label, decoded from their files or read from a packed store."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations

from isnet.data.packed.packed_store import PackedSample, Pixels

__all__ = ["DecodedSample", "Sample", "open_sample"]


class DecodedSample:
    """An image and its label, decoded by mmseg's transforms; the interface of `PackedSample`."""

    def __init__(self, record: dict[str, Any]) -> None:
        loaded = LoadAnnotations()(LoadImageFromFile()(record | {"seg_fields": []}))
        self._image: Pixels = loaded["img"]
        self._label: Pixels = loaded["gt_seg_map"].astype(np.uint8, copy=False)
        self.height, self.width = self._image.shape[:2]

    def image(self, rows: slice, columns: slice) -> Pixels:
        """Return a crop of the image `(h, w, 3)` uint8, BGR."""
        return self._image[rows, columns]

    def label(self, rows: slice, columns: slice) -> Pixels:
        """Return a crop of the label `(h, w)` uint8, train ids."""
        return self._label[rows, columns]


Sample = DecodedSample | PackedSample


def open_sample(record: dict[str, Any]) -> Sample:
    """Open the sample of a data set's record: its `packed` entry, else its files."""
    packed: PackedSample | None = record.get("packed")
    return packed or DecodedSample(record)

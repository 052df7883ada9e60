"""An image with its label, of which windows are read."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations

from isnet.data.packed.packed_store import Pixels, Store

__all__ = ["Sample", "StoredSample", "open_sample"]


class Sample(Protocol):
    """Windows of an image and its label; slices have start and stop, inside the image."""

    height: int
    width: int

    def image(self, rows: slice, columns: slice) -> Pixels:
        """Return `(h, w, 3)` uint8, BGR."""

    def label(self, rows: slice, columns: slice) -> Pixels:
        """Return `(h, w)` uint8, train ids."""


class StoredSample:
    """A record of a store."""

    def __init__(self, store: Store, number: int) -> None:
        self._store, self._number = store, number
        self.height, self.width = store.records[number].height, store.records[number].width

    def image(self, rows: slice, columns: slice) -> Pixels:
        """Return `(h, w, 3)` uint8, BGR."""
        return self._store.image(self._number, rows, columns)

    def label(self, rows: slice, columns: slice) -> Pixels:
        """Return `(h, w)` uint8, train ids."""
        return self._store.label(self._number, rows, columns)


class _DecodedSample:
    """A pair of files, decoded whole as mmseg does it."""

    def __init__(self, results: dict[str, Any]) -> None:
        loaded = LoadAnnotations()(LoadImageFromFile()(results | {"seg_fields": []}))
        self._image: Pixels = loaded["img"]
        self._label: Pixels = loaded["gt_seg_map"].astype(np.uint8, copy=False)
        self.height, self.width = self._image.shape[:2]

    def image(self, rows: slice, columns: slice) -> Pixels:
        return self._image[rows, columns]

    def label(self, rows: slice, columns: slice) -> Pixels:
        return self._label[rows, columns]


def open_sample(results: dict[str, Any]) -> Sample:
    """Return the sample of an mmseg data set's record: from the store that `ManifestDataset` has
    named (`stored`), else from its files.
    """
    stored: StoredSample | None = results.get("stored")
    return stored or _DecodedSample(results)

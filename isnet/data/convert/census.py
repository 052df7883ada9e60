"""What is in a data set: pixels and images per class and split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isnet.data.catalog import IGNORE

__all__ = ["SplitCensus"]


@dataclass
class SplitCensus:
    """Running counts over the labels of one split."""

    num_classes: int
    images: int = 0
    ignored_pixels: int = 0
    pixels: np.ndarray = field(init=False)
    images_with_class: np.ndarray = field(init=False)
    sizes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Start at zero."""
        self.pixels = np.zeros(self.num_classes, np.int64)
        self.images_with_class = np.zeros(self.num_classes, np.int64)

    def add(self, counts: dict[int, int], size: str) -> None:
        """Add one converted label, given as the pixels of each train id that it has."""
        self.images += 1
        self.sizes[size] += 1
        for train_id, pixels in counts.items():
            if train_id == IGNORE:
                self.ignored_pixels += pixels
            else:
                self.pixels[train_id] += pixels
                self.images_with_class[train_id] += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form (`census.json`)."""
        return {
            "images": self.images,
            "pixels": self.pixels.tolist(),
            "ignored_pixels": self.ignored_pixels,
            "images_with_class": self.images_with_class.tolist(),
            "sizes": dict(self.sizes),
        }

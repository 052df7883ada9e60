"""The predicted labels of one image, with their confidence and the share of each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isnet.inference.segmentor_logits import Size
from isnet.metrics.confusion_matrix import Labels

_ROWS = 1024
"""Counted at once, because numpy copies each value to 8 bytes."""


@dataclass(frozen=True, eq=False)
class ImagePrediction:
    """Predicted labels of one image, with their confidence."""

    labels: Labels
    """Train ids `(H, W)` uint8."""
    confidence: NDArray[np.float32]
    """Probability of the label in 0..1, `(H, W)` float32."""
    classes: Sequence[str]
    """Class names by train id."""
    window: Size | None = None
    """(height, width) of the windows if the image did not fit in memory whole, else None."""

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """Fraction of pixels (`share`) and mean `confidence` by class, largest share first."""
        pixels, sums = np.zeros(256, int), np.zeros(256)
        for start in range(0, len(self.labels), _ROWS):
            flat = self.labels[start : start + _ROWS].ravel()
            sure = self.confidence[start : start + _ROWS].ravel()
            pixels += np.bincount(flat, minlength=256)
            sums += np.bincount(flat, sure, minlength=256)
        order = [i for i in np.argsort(-pixels, kind="stable").tolist() if pixels[i]]
        shares, means = pixels / self.labels.size, sums / pixels.clip(min=1)
        return {
            self.classes[i]: {"share": float(shares[i]), "confidence": float(means[i])}
            for i in order
        }

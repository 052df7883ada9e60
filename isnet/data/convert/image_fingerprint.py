"""Perceptual hash of an image, by which near-duplicates are found."""

import cv2
import numpy as np
import numpy.typing as npt

_SIDE = 16


def fingerprint(pixels: npt.NDArray[np.uint8]) -> str:
    """Return a perceptual hash of an image `(H, W, 3)`: 256 bits, as hexadecimal digits.

    A bit says whether one of 16x17 areas is brighter than its right neighbour (difference hash),
    by two levels or more, so that noise of flat areas does not count. It stays, but for a few bits,
    when an image is saved with another quality or size.
    """
    small = cv2.resize(pixels, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.int16)
    return np.packbits(grey[:, :-1] > grey[:, 1:] + 1).tobytes().hex()

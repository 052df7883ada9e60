"""Joint histogram of two uint8 arrays, from which all pixel metrics are computed."""

import cv2
import numpy as np
import numpy.typing as npt

VALUES = 256
_LANES = 4
_CHUNK = 1 << 24
"""OpenCV counts in float32, which is exact up to this many pixels."""

Bytes = npt.NDArray[np.uint8]


def joint_histogram(rows: Bytes, columns: Bytes) -> npt.NDArray[np.int64]:
    """Count how often each pair of values occurs at the same position: `(256, 256)` int64.

    Entry (i, j) is the number of positions where `rows` is i and `columns`, of the same shape, is
    j. OpenCV takes a third of the time of `np.bincount`, which converts the input to int64.
    """
    first, second = rows.reshape(-1), columns.reshape(-1)
    total = np.zeros((VALUES, VALUES), np.int64)
    for start in range(0, first.size, _CHUNK):
        woven = [_interleave(values[start : start + _CHUNK]) for values in (first, second)]
        ranges = [0, VALUES, 0, VALUES]
        total += cv2.calcHist(woven, [0, 1], None, [VALUES, VALUES], ranges).astype(np.int64)
    return total


def _interleave(values: Bytes) -> Bytes:
    """Interleave the four quarters of `values` to a row `(1, N)`.

    Incrementing the bin of equal neighbours twice in a row would stall on the first store.
    """
    quarter, rest = divmod(len(values), _LANES)
    if not quarter:
        return values.reshape(1, -1)
    lanes = values[: _LANES * quarter].reshape(_LANES, 1, quarter)
    woven = np.asarray(cv2.merge(list(lanes)), np.uint8).reshape(1, -1)
    return np.append(woven, values[-rest:][None], axis=1) if rest else woven

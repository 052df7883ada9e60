"""Maps raw label ids to train ids by a lookup table, and reports ids that are not in the table."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from isnet.data.catalog import IGNORE, LabelTable
from isnet.data.catalog.label_table import unpack_color
from isnet.data.convert.label_reader import RawIds
from isnet.errors import UserError

_UNKNOWN = IGNORE - 1
"""Marks unknown raw ids. This is never a train id, because there are at most 254 classes."""
_MANY = 12
"""From this number of unknown ids in one file on, the cause is not a forgotten class."""
_MOST_FAR = 0.1
"""Largest share of pixels of a label that may be farther than the tolerance from every class."""
_AT_ONCE = 1 << 16
"""Number of values whose distances to all classes are computed at once."""
_MOST_COUNTED = 1 << 24
"""Pixels that are counted at once: OpenCV counts in float32."""


class LabelLookup:
    """A lookup table from raw ids to train ids, built from a `LabelTable`."""

    def __init__(self, table: LabelTable) -> None:
        self.table = table
        self._lookup = np.full(1 << (24 if table.form == "colors" else 16), _UNKNOWN, np.uint8)
        for raw, train_id in table.train_id.items():
            self._lookup[raw] = train_id

    def __call__(
        self, raw: RawIds, path: Path
    ) -> tuple[npt.NDArray[np.uint8], dict[int, int], int]:
        """Return the train ids `(H, W)` of raw ids `(H, W)`, and the pixel count of each train id.

        The third value is the number of pixels that are ignored because they are farther than the
        table's tolerance from every raw id. `path` is the label file, for messages.

        Raises:
            UserError: a raw id is not in the table, or too many pixels are farther away.
        """
        train = self.look_up(raw)
        counts, far = histogram(train), 0
        if counts[_UNKNOWN] and self.table.tolerance is not None:
            self._take_nearest(np.unique(raw[train == _UNKNOWN]), self.table.tolerance)
            train = self.look_up(raw)
            far = int(np.count_nonzero(train == _UNKNOWN))
            if far <= _MOST_FAR * raw.size:
                train[train == _UNKNOWN] = IGNORE
            counts = histogram(train)
        if counts[_UNKNOWN]:
            raise self._unknown(raw, train == _UNKNOWN, path)
        return train, _as_dict(counts), far

    def _take_nearest(self, unknown: RawIds, tolerance: int) -> None:
        """Give values within `tolerance` of a raw id in the table the train id of the nearest."""
        known = np.array(list(self.table.train_id))
        for some in np.array_split(unknown, len(unknown) // _AT_ONCE + 1):
            squares = sum(
                np.square(_channel(some, shift)[:, None] - _channel(known, shift))
                for shift in ((16, 8, 0) if self.table.form == "colors" else (None,))
            )
            nearest = np.argmin(squares, axis=1)
            near = squares[np.arange(len(some)), nearest] <= tolerance**2
            self._lookup[some[near]] = self._lookup[known[nearest[near]]]

    def look_up(self, raw: RawIds) -> npt.NDArray[np.uint8]:
        """Return the train ids `(H, W)` of raw ids; those that are not in the table become 254."""
        if raw.dtype == np.uint8:
            return cv2.LUT(raw, self._lookup[:256]).astype(np.uint8, copy=False)
        return self._lookup[raw]

    def _unknown(self, raw: RawIds, where: npt.NDArray[np.bool_], path: Path) -> UserError:
        ids, counts = np.unique(raw[where], return_counts=True)
        row, column = np.argwhere(raw == ids[0])[0]
        what, shown = "id", str(ids[0])
        if self.table.form == "colors":
            what, shown = "color", ",".join(map(str, unpack_color(int(ids[0]))))
        more = f"; {len(ids) - 1} more unknown {what}s" if len(ids) > 1 else ""
        place = f"in {counts[0]} pixels, the first at row {row}, column {column}"
        message = f"unknown label {what} {shown} {place}{more}"
        return UserError(message, where=str(path), hint=self._hint(raw, len(ids)))

    def _hint(self, raw: RawIds, unknown: int) -> str:
        origin = self.table.origin
        is_colour = self.table.form == "colors"
        is_binary = not is_colour and set(np.unique(raw).tolist()) == {0, 255}
        if is_binary and 255 not in self.table.train_id:
            what = f"This is a mask of 0 and 255: in {origin}, write `id: 255` for its class"
            return f"{what}; add 255 to `ignore` only if such pixels are of no class"
        if unknown < _MANY:
            return f"{origin} has it neither as a class nor to ignore: add it, or correct the file"
        change = f"write `tolerance: 64` in {origin} for the nearest class"
        if self.table.tolerance is not None:
            change = f"raise `tolerance: {self.table.tolerance}` in {origin}"
        blurred = f"blurred edges (resized, or once JPEG): make the masks again, or {change}"
        if is_colour:
            return f"So many come from {blurred}"
        others = "a colour mask turned grey, a photo (give the file with the ids)"
        return f"So many are no ids, but {others}, or {blurred}"


def _channel(values: RawIds, shift: int | None) -> npt.NDArray[np.int64]:
    return values.astype(np.int64) if shift is None else (values.astype(np.int64) >> shift) & 255


def count_train_ids(train: npt.NDArray[np.uint8]) -> dict[int, int]:
    """Return the number of pixels of each train id in `(H, W)`, without those that are zero."""
    return _as_dict(histogram(train))


def _as_dict(counts: npt.NDArray[np.int64]) -> dict[int, int]:
    return {int(found): int(counts[found]) for found in np.flatnonzero(counts)}


def histogram(ids: RawIds) -> npt.NDArray[np.int64]:
    """Return how often each value occurs in ids `(H, W)` of 8 or 16 bits, also where none does."""
    bins = 1 << 8 * ids.dtype.itemsize
    counts = np.zeros(bins, np.int64)
    rows = max(_MOST_COUNTED // max(ids.shape[1], 1), 1)
    for top in range(0, len(ids), rows):
        part = cv2.calcHist([ids[top : top + rows]], [0], None, [bins], [0, bins])
        counts += part.ravel().astype(np.int64)
    return counts

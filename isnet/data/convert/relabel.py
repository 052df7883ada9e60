"""Raw ids to train ids by a table of all ids; an id that the table has not stops."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from isnet.data.catalog import IGNORE, LabelTable
from isnet.data.convert.label_reader import RawIds
from isnet.errors import UserError

__all__ = ["Relabel"]

_UNKNOWN = IGNORE - 1
"""No train id: there are at most 254 classes."""
_MANY = 12
"""Unknown ids in one file, from which it is no matter of a forgotten class."""


class Relabel:
    """The lookup of one table."""

    def __init__(self, table: LabelTable) -> None:
        self._table = table
        colors = table.form == "colors"
        size = 1 << 24 if colors else 1 << 16
        self._lookup = np.full(size, _UNKNOWN, np.uint8)
        for raw, train_id in table.train_id.items():
            self._lookup[raw] = train_id
        self._small = self._lookup[:256].copy()

    def __call__(self, raw: RawIds, path: Path) -> tuple[npt.NDArray[np.uint8], dict[int, int]]:
        """Return train ids (H, W) and how many pixels each of them has.

        Args:
            raw: ids of a label file, (H, W).
            path: that file, for messages.

        Raises:
            UserError: an id is not in the table.
        """
        train = self.look_up(raw)
        counts = _histogram(train)
        if counts[_UNKNOWN]:
            raise self._unknown(raw, train == _UNKNOWN, path)
        return train, {int(found): int(counts[found]) for found in np.flatnonzero(counts)}

    def look_up(self, raw: RawIds) -> npt.NDArray[np.uint8]:
        """Return train ids (H, W); what the table has not is 254."""
        if raw.dtype == np.uint8:
            return cv2.LUT(raw, self._small).astype(np.uint8, copy=False)
        return self._lookup[raw]

    def _unknown(self, raw: RawIds, where: npt.NDArray[np.bool_], path: Path) -> UserError:
        ids, counts = np.unique(raw[where], return_counts=True)
        row, column = np.argwhere(raw == ids[0])[0]
        what = "color" if self._table.form == "colors" else "id"
        more = f"; {len(ids) - 1} more unknown {what}s" if len(ids) > 1 else ""
        return UserError(
            f"unknown label {what} {self._written(int(ids[0]))} in {counts[0]} pixels, the first "
            f"at row {row}, column {column}{more}",
            where=str(path),
            hint=self._hint(raw, len(ids)),
        )

    def _written(self, raw: int) -> str:
        if self._table.form != "colors":
            return str(raw)
        return f"{raw >> 16},{raw >> 8 & 255},{raw & 255}"

    def _hint(self, raw: RawIds, unknown: int) -> str:
        origin = self._table.origin
        if self._table.form == "colors":
            if unknown >= _MANY:
                return (
                    "So many come from blurred edges (resized, or once saved as JPEG): make the "
                    "masks anew without"
                )
        elif set(np.unique(raw).tolist()) == {0, 255} and 255 not in self._table.train_id:
            return (
                f"This is a mask of 0 and 255: in {origin}, write `id: 255` for its class, "
                "or add 255 to `ignore`"
            )
        elif unknown >= _MANY:
            return (
                "So many are no ids: this looks like a colour mask turned grey, or a photo; "
                "give the file with the ids"
            )
        return f"{origin} has it neither as a class nor to ignore: add it, or mend the file"


def _histogram(train: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    if train.size >= 1 << 24:  # cv2 counts in float32
        return np.bincount(train.ravel(), minlength=256)
    return cv2.calcHist([train], [0], None, [256], [0, 256]).ravel().astype(np.int64)

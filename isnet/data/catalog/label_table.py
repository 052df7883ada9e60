"""One explicit table per data set from the ids in its label files to train ids."""

from __future__ import annotations

from dataclasses import dataclass

from isnet.data.catalog.dataset_description import DatasetDescription, LabelForm, RawId
from isnet.io.atomic_files import digest_of

__all__ = ["IGNORE", "LabelTable", "build_label_table"]

IGNORE = 255
"""Train id of pixels that are neither trained on nor scored."""


@dataclass(frozen=True)
class LabelTable:
    """Classes, colours and the mapping from raw ids to train ids."""

    origin: str
    """The file that says so."""
    form: LabelForm
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    train_id: dict[int, int]
    """Raw id to train id; `IGNORE` for those that are ignored. A colour is 65536 R + 256 G + B. An
    id that is not here is an error in the data.
    """
    flip_pairs: tuple[tuple[int, int], ...]
    """Train ids that a mirror swaps."""

    @property
    def digest(self) -> str:
        """Hash of all that decides what a converted label looks like and how it may be mirrored."""
        mapping = sorted(self.train_id.items())
        return digest_of([self.form, self.classes, mapping, self.flip_pairs])


def build_label_table(
    description: DatasetDescription, origin: str, *, never_annotated: bool
) -> LabelTable:
    """Number the classes in their order.

    Args:
        description: has them.
        origin: the file it was read from.
        never_annotated: whether classes that no label file has are numbered too.
    """
    rows = [
        (row, place if row.id is None else row.id)
        for place, row in enumerate(description.classes)
        if never_annotated or not row.never_annotated
    ]
    names = [row.name for row, _ in rows]
    palette = tuple(row.color or _color(index) for index, (row, _) in enumerate(rows))
    is_color = description.label_form == "colors"
    raw = [_number(row.color) if is_color and row.color else raw for row, raw in rows]
    return LabelTable(
        origin=origin,
        form=description.label_form,
        classes=tuple(names),
        palette=palette,
        train_id={value: index for index, value in enumerate(raw)}
        | {_number(value): IGNORE for value in description.ignore.values()},
        flip_pairs=tuple((names.index(a), names.index(b)) for a, b in description.left_right),
    )


def _number(raw: RawId) -> int:
    return raw if isinstance(raw, int) else (raw[0] << 16) + (raw[1] << 8) + raw[2]


def _color(index: int) -> tuple[int, int, int]:
    """Return PASCAL VOC's colour of a class: the bits of its number, spread over the channels."""
    number = index + 1
    red, green, blue = 0, 0, 0
    for bit in range(7, 4, -1):
        red |= (number & 1) << bit
        green |= (number >> 1 & 1) << bit
        blue |= (number >> 2 & 1) << bit
        number >>= 3
    return red, green, blue

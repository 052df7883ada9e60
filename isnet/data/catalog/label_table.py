"""Builds the table that maps the raw ids in label files to train ids."""

from dataclasses import dataclass, field

from isnet.data.catalog.dataset_description import Color, DatasetDescription, LabelForm, RawId
from isnet.io.atomic_files import digest_of

IGNORE = 255
"""Train id of pixels that are neither trained on nor scored (`ignore_index`)."""


@dataclass(frozen=True)
class LabelTable:
    """Classes and colours of a data set, and the mapping from its raw ids to train ids."""

    origin: str
    """The file that defines the table, for messages."""
    form: LabelForm
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    train_id: dict[int, int]
    """Train id, or `IGNORE`, of each raw id. The raw id of a colour is 65536 R + 256 G + B.

    A raw id that is not in this mapping is an error in a label file.
    """
    flip_pairs: tuple[tuple[int, int], ...]
    """Pairs of train ids that are swapped when an image is mirrored, such as left and right arm."""
    tolerance: int | None = None
    """See `DatasetDescription.tolerance`."""
    categories: dict[str, int] = field(default_factory=dict)
    """Train id, or `IGNORE`, of each category of annotations. They are drawn with it as raw id."""
    unlabelled: int = IGNORE
    """Train id of pixels that no annotation covers."""

    @property
    def digest(self) -> str:
        """Hash of everything that determines converted labels and how they are mirrored."""
        mapping = sorted(self.train_id.items())
        drawn = [sorted(self.categories.items()), self.unlabelled] if self.categories else []
        content = [self.form, self.classes, mapping, self.flip_pairs, *drawn]
        return digest_of(content if self.tolerance is None else [*content, self.tolerance])


def build_label_table(
    description: DatasetDescription, origin: str, *, never_annotated: bool
) -> LabelTable:
    """Build the label table of a data set, with train ids in the order of the described classes.

    `origin` is the file that contains the description, for messages. `never_annotated`: whether
    classes that occur in no label file get a train id too.
    """
    rows = [
        (row, raw_id)
        for row, raw_id in zip(description.classes, description.raw_ids, strict=True)
        if never_annotated or not row.never_annotated
    ]
    names = [row.name for row, _ in rows]
    train_id = {pack_raw_id(raw_id): index for index, (_, raw_id) in enumerate(rows)}
    ignored = description.ignore.values()
    categories: dict[str, int] = {}
    if description.is_annotated:
        categories = {name: index for index, name in enumerate(names)}
        categories |= {str(name): IGNORE for name in ignored}
        train_id = {index: index for index in (*range(len(names)), IGNORE)}
    else:
        raw_ids = (raw_id for raw_id in ignored if not isinstance(raw_id, str))
        train_id |= {pack_raw_id(raw_id): IGNORE for raw_id in raw_ids}
    return LabelTable(
        origin=origin,
        form=description.label_form,
        classes=tuple(names),
        palette=tuple(row.color or voc_color(index + 1) for index, (row, _) in enumerate(rows)),
        train_id=train_id,
        flip_pairs=tuple((names.index(a), names.index(b)) for a, b in description.left_right),
        tolerance=description.tolerance,
        categories=categories,
        unlabelled=categories.get(description.unlabelled or "", IGNORE),
    )


def pack_raw_id(raw_id: RawId) -> int:
    """Return a raw id as label readers give it: an id, or 65536 R + 256 G + B."""
    return raw_id if isinstance(raw_id, int) else (raw_id[0] << 16) + (raw_id[1] << 8) + raw_id[2]


def unpack_color(value: int) -> Color:
    """Return the colour of a raw id that `pack_raw_id` has made of one."""
    return value >> 16, value >> 8 & 255, value & 255


def voc_color(number: int) -> tuple[int, int, int]:
    """Return PASCAL VOC's colour of a class, made from the bits of the class number."""
    red, green, blue = (
        sum((number >> 3 * step + channel & 1) << 7 - step for step in range(3))
        for channel in range(3)
    )
    return red, green, blue

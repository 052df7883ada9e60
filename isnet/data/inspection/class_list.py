"""Decides the classes and ignored values of a data set from the values of its labels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from isnet.data.catalog.dataset_description import Color
from isnet.data.catalog.label_table import voc_color
from isnet.data.inspection.class_names import ClassName, ClassNames
from isnet.data.inspection.label_values import LabelValues
from isnet.errors import UserError

_VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_BORDER = 255
_MAX_COLORS = 64
"""More colours than this in labels without names come from blurred edges."""


class ClassList(NamedTuple):
    """Classes and ignored values, both as in a description, by raw id, and the reasons."""

    classes: dict[int, dict[str, Any]]
    ignore: list[int]
    why: list[str]


def decide_classes(
    values: LabelValues, names: ClassNames | None, ignore: Sequence[str], *, is_voc: bool
) -> ClassList:
    """Give each value in the labels a class, or ignore it.

    Args:
        values: the values in the labels.
        names: the classes that a file names, or None.
        ignore: values or names to ignore, as written by the user; empty to decide it here.
        is_voc: whether the folders are those of PASCAL VOC, whose palette then means its classes.

    Raises:
        UserError: a value has no name, or the values are not classes.
    """
    seen = sorted(values.pixels)
    named, why = _name_values(values, names, is_voc=is_voc)
    ignored = [_value_of(text, named, values) for text in ignore]
    if not ignored and _BORDER in seen and values.form != "colors" and _BORDER not in named:
        if len(seen) < 3:
            what = (
                f"labels have {_BORDER} beside one other value: ignored, nothing would be learned"
            )
            hint = f"Give --names FILE with a line `{_BORDER} NAME`, or write --ignore {_BORDER}"
            raise UserError(what, hint=hint)
        ignored = [_BORDER]
        why.append(f"{_BORDER} is ignored, as is usual; else write --ignore with other values")
    if not named:
        named = _unnamed([value for value in seen if value not in ignored], values)
        why.append("no file names the classes: rename them in the description")
    if unknown := [value for value in seen if value not in named and value not in ignored]:
        shown = ", ".join(show_value(value, values.form) for value in unknown[:5])
        what = f"labels have {shown}, which {names.origin if names else 'VOC'} does not name"
        hint = f"Add names, give another file by --names, or write --ignore {shown.split(', ')[0]}"
        raise UserError(what, hint=hint)
    classes = {value: row for value, row in named.items() if value not in ignored}
    if not 2 <= len(classes) <= 254:
        what = f"the labels have {len(classes)} classes, possible are 2 to 254"
        raise UserError(what, hint="Give the folder of the labels by --labels")
    return ClassList(classes, ignored, why)


def show_value(value: int, form: str) -> str:
    """Return a raw id as text: an id, or `R,G,B`."""
    return ",".join(map(str, raw_color(value))) if form == "colors" else str(value)


def raw_color(value: int) -> Color:
    """Return the colour of a raw id of the form `colors`."""
    return value >> 16, value >> 8 & 255, value & 255


def raw_id(value: int, form: str) -> int | list[int]:
    """Return a value as a description writes it: an id, or red, green and blue."""
    return list(raw_color(value)) if form == "colors" else value


def _name_values(
    values: LabelValues, names: ClassNames | None, *, is_voc: bool
) -> tuple[dict[int, dict[str, Any]], list[str]]:
    """Return the classes that are named, by raw id, and the reasons."""
    seen = sorted(values.pixels)
    if values.form != "colors" and seen == [0, 255] and (not names or len(names.classes) == 2):
        known = [row.name for row in names.classes] if names else ["background", "object"]
        rows = {value: {"name": name} for value, name in zip(seen, known, strict=True)}
        return rows, ["0 and 255 alone: a mask of one class, 255, before a background"]
    if names is None:
        is_standard = values.palette[:21] == [voc_color(index) for index in range(21)]
        if is_voc and is_standard and all(value < 21 or value == _BORDER for value in seen):
            rows = {index: {"name": name} for index, name in enumerate(_VOC)}
            return rows, ["folders and palette are PASCAL VOC's, and so are the names"]
        return {}, []
    reason = f"names from {names.origin}"
    first = 0
    plain = [value % 256 if _are_grey(values) else value for value in seen if value != _BORDER]
    if all(row.id is None and row.color is None for row in names.classes):
        if plain and plain[0] == 1 and plain[-1] == len(names.classes):
            first = 1
        reason += f", by their position from {first}"
    return {
        _named_value(row, index + first, values, names.origin): {"name": row.name}
        | ({"color": list(row.color)} if row.color else {})
        for index, row in enumerate(names.classes)
    }, [reason]


def _named_value(row: ClassName, position: int, values: LabelValues, origin: str) -> int:
    """Return the raw id of a named class: its own, or by its colour, or its position."""
    number = position if row.id is None else row.id
    if values.form == "colors":
        if row.color is None and _are_grey(values):  # ids in three equal channels
            return number << 16 | number << 8 | number
        if row.color is None:
            what = f"the labels are colours, and {origin} gives none for {row.name!r}"
            raise UserError(
                what, hint="Write `R G B NAME` in each line of a file, and --names FILE"
            )
        return (row.color[0] << 16) + (row.color[1] << 8) + row.color[2]
    if values.form == "palette" and row.id is None and row.color in values.palette:
        return values.palette.index(row.color)
    return number


def _are_grey(values: LabelValues) -> bool:
    colors = map(raw_color, values.pixels)
    return values.form == "colors" and all(len(set(color)) == 1 for color in colors)


def _unnamed(kept: list[int], values: LabelValues) -> dict[int, dict[str, Any]]:
    if values.form == "colors" and len(kept) > _MAX_COLORS:
        what = f"the labels have {len(kept)} colours: from blurred edges, or these are no labels"
        raise UserError(what, hint="Give the labels' folder by --labels, or the colours by --names")
    rows: dict[int, dict[str, Any]] = {}
    for value in kept:
        shown = show_value(value, values.form).replace(",", "_")
        rows[value] = {"name": f"color_{shown}" if values.form == "colors" else f"class_{shown}"}
    return rows


def _value_of(text: str, named: dict[int, dict[str, Any]], values: LabelValues) -> int:
    """Return the raw id that an option `--ignore` gives as a value or as a name."""
    for value in {**named, **values.pixels}:
        if text in (show_value(value, values.form), named.get(value, {}).get("name")):
            return value
    raise UserError(f"no label has {text}", where="--ignore", hint="Write an id, R,G,B or a name")

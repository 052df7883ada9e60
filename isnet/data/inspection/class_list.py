"""Decides the classes of a data set from the values in its labels, or from annotated categories."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isnet.data.annotations.drawing import Drawing
from isnet.data.annotations.single_file import READERS
from isnet.data.annotations.supervisely_file import read_class_colors
from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.dataset_description import ANNOTATION_FORMS, Color
from isnet.data.catalog.image_label_pairs import SPLITS, Pair, find_drawings
from isnet.data.catalog.label_table import pack_raw_id, unpack_color, voc_color
from isnet.data.inspection.class_names import IGNORED_BY_LABELME, ClassName, ClassNames
from isnet.data.inspection.label_values import UNCOVERED, LabelValues
from isnet.errors import UserError
from isnet.io.message_text import list_names

_VOC = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
_BACKGROUND = "background"
_MOST = 253
_BORDER = 255
_MAX_COLORS = 64
"""More colours than this in labels without names come from blurred edges."""

_Rows = dict[int, dict[str, Any]]
"""Classes as in a description, by raw id."""


class ClassList(NamedTuple):
    """Classes as in a description and ignored values, by raw id, and the reasons."""

    classes: _Rows
    ignore: list[int]
    why: list[str]


def decide_classes(
    values: LabelValues, names: ClassNames | None, ignore: Sequence[str], *, is_voc: bool
) -> ClassList:
    """Give each value in the labels a class, or ignore it.

    `names` are the classes that a file names, or None. `ignore` has values or names to ignore, as
    written by the user; empty to decide it here. `is_voc`: whether the folders are those of PASCAL
    VOC, whose palette then means its classes.

    Raises:
        UserError: a value has no name, or the values are not classes.
    """
    named, reason = _name_values(values, names, is_voc=is_voc)
    ignored = [_value_of(text, named, values) for text in ignore]
    why = [reason or "no file names the classes: rename them in the description"]
    if not ignored and (unlabelled := _find_unlabelled(values, named)):
        ignored = [*unlabelled]
        shown = " and ".join(f"{value} ({reason})" for value, reason in unlabelled.items())
        why.append(f"ignored: {shown}; else write --ignore with other values")
    if others := sorted({*values.no_data} & values.pixels.keys() - {*ignored}):
        shown = " and ".join(show_value(value, values.form) for value in others)
        why.append(f"{shown}, GDAL's no-data value, is a class; else write --ignore {shown}")
    kept = [value for value in sorted(values.pixels) if value not in ignored]
    rows = named or _number_values(kept, values.form)
    if unknown := [show_value(value, values.form) for value in kept if value not in rows]:
        origin = names.origin if names else "VOC"
        what = f"labels have {list_names(unknown)}, which {origin} does not name"
        hint = f"Add names, give another file by --names, or write --ignore {unknown[0]}"
        raise UserError(what, hint=hint)
    classes = {value: row for value, row in rows.items() if value not in ignored}
    if not 2 <= len(classes) <= 254:
        many = "es" * (len(classes) != 1)
        what = f"the labels have {len(classes)} class{many}, possible are 2 to 254"
        too_few = ignored and len(classes) < 2
        hint = "Ignore fewer values" if too_few else "Give the folder of the labels by --labels"
        raise UserError(what, hint=hint)
    return ClassList(classes, ignored, why)


def show_value(value: int, form: str) -> str:
    """Return a raw id as text: an id, `R,G,B`, or nothing for annotations, which have names."""
    if form in ANNOTATION_FORMS:
        return ""
    return ",".join(map(str, unpack_color(value))) if form == "colors" else str(value)


def raw_id(value: int, form: str) -> int | list[int]:
    """Return a value as a description writes it: an id, or red, green and blue."""
    return list(unpack_color(value)) if form == "colors" else value


def _find_unlabelled(values: LabelValues, named: _Rows) -> dict[int, str]:
    """Return the values of unlabelled pixels with the reason: without a name, 255 or no-data.

    Raises UserError if one value alone would be left, so that they are more likely classes.
    """
    usual = {_BORDER: "as is usual"} | dict.fromkeys(values.no_data, "GDAL's no-data value")
    found = {
        value: reason
        for value, reason in usual.items()
        if values.form != "colors" and value in values.pixels and value not in named
    }
    if found and len(values.pixels) < len(found) + 2:
        shown = " and ".join(map(str, found))
        what = f"labels have {shown} beside one other value: ignored, nothing would be learned"
        first = next(iter(found))
        hint = f"Give --names FILE with a line `{first} NAME`"
        hint += f", or write --ignore {first}" * (len(named) > 1)
        raise UserError(what, hint=hint)
    return found


def _name_values(
    values: LabelValues, names: ClassNames | None, *, is_voc: bool
) -> tuple[_Rows, str]:
    """Return the classes that have a name, and where it is from; none without a file."""
    seen = sorted(values.pixels)
    if seen == [0, 255] and values.form != "colors" and (not names or len(names.classes) == 2):
        known = [row.name for row in names.classes] if names else ["background", "object"]
        rows: _Rows = {value: {"name": name} for value, name in zip(seen, known, strict=True)}
        return rows, "0 and 255 alone: a mask of one class, 255, before a background"
    if names is not None:
        return _name_by_file(values, names)
    has_palette = values.palette[:21] == [voc_color(index) for index in range(21)]
    if is_voc and has_palette and {*seen} <= {*range(21), _BORDER}:
        rows = {index: {"name": name} for index, name in enumerate(_VOC)}
        return rows, "folders and palette are PASCAL VOC's, and so are the names"
    return {}, ""


def _name_by_file(values: LabelValues, names: ClassNames) -> tuple[_Rows, str]:
    first, reason = 0, f"names from {names.origin}"
    if all(row.id is None and row.color is None for row in names.classes):
        plain = sorted({*values.pixels} - {_BORDER})
        if plain and plain[0] == 1 and plain[-1] == len(names.classes):
            first = 1
        reason += f", by their position from {first}"
    rows: _Rows = {}
    for position, row in enumerate(names.classes, first):
        color = {"color": list(row.color)} if row.color else {}
        rows[_value_named(row, position, values, names.origin)] = {"name": row.name} | color
    return rows, reason


def _value_named(row: ClassName, position: int, values: LabelValues, origin: str) -> int:
    """Return the raw id of a named class: its own, or by its colour, or its position."""
    number = position if row.id is None else row.id
    if values.form == "colors":
        if row.color is None:
            what = f"the labels are colours, and {origin} gives none for {row.name!r}"
            hint = "Write `R G B NAME` in each line of a file, and --names FILE"
            raise UserError(what, hint=hint)
        return pack_raw_id(row.color)
    if values.form == "palette" and row.id is None and row.color in values.palette:
        return values.palette.index(row.color)
    return number


def _number_values(kept: list[int], form: str) -> _Rows:
    if form != "colors":
        return {value: {"name": f"class_{value}"} for value in kept}
    if len(kept) > _MAX_COLORS:
        what = f"the labels have {len(kept)} colours: from blurred edges, or these are no labels"
        raise UserError(what, hint="Give the labels' folder by --labels, or the colours by --names")
    return {value: {"name": f"color_{'_'.join(map(str, unpack_color(value)))}"} for value in kept}


def _value_of(text: str, named: _Rows, values: LabelValues) -> int:
    """Return the raw id that an option `--ignore` gives as a value or as a name."""
    for value in {**named, **values.pixels}:
        if text in (show_value(value, values.form), named.get(value, {}).get("name")):
            return value
    raise UserError(f"no label has {text}", where="--ignore", hint="Write an id, R,G,B or a name")


def read_drawings(
    root: Path, pairs: Iterable[Pair], description: DatasetDescription
) -> dict[Path, Drawing]:
    """Read the annotations of images, by the path of the image below `root`.

    Raises UserError if a file cannot be read.
    """
    if read := READERS.get(description.label_form):
        return {image: read(root / label) for image, label in pairs}
    drawings: dict[Path, Drawing] = {}
    for split in SPLITS:
        drawings |= find_drawings(description, root, split)
    return drawings


def read_colors(drawings: Mapping[Path, Drawing]) -> dict[str, Color]:
    """Read the colours of all classes in the `meta.json` of the Supervisely project of `drawings`.

    Raises:
        UserError: there is none, or it lacks the class of an object.
    """
    first = next(iter(drawings.values()))
    metas = (folder / "meta.json" for folder in first.file.parents)
    if (meta := next(filter(Path.is_file, metas), None)) is None:
        what = "no folder above has the meta.json of the project"
        raise UserError(what, where=first.where, hint="Export the whole project")
    colors = read_class_colors(meta)
    for drawing in drawings.values():
        if unknown := [name for name in drawing.categories if name not in colors]:
            what = f"the class {unknown[0]!r} is not in {meta}"
            raise UserError(what, where=drawing.where, hint="Export the whole project again")
    return colors


def number_categories(drawings: Mapping[Path, Drawing], root: Path) -> dict[str, int]:
    """Return raw ids of the categories that have shapes, in alphabetical order.

    A category `background` has the id of pixels that nothing covers. Raises UserError if there are
    no categories, or too many.
    """
    names = sorted({name for drawing in drawings.values() for name in drawing.categories})
    if not 1 <= len(names) <= _MOST:
        what = f"the shapes have {len(names)} categories, possible are 1 to {_MOST}"
        hint = "Annotate images, and export again" if not names else "Join some of them"
        raise UserError(what, where=str(root), hint=hint)
    background = next((one for one in names if one.strip("_").lower() == _BACKGROUND), None)
    others = [name for name in names if name != background]
    first = {} if background is None else {background: UNCOVERED}
    return first | {name: index for index, name in enumerate(others, UNCOVERED + 1)}


def decide_categories(
    values: LabelValues, ids: Mapping[str, int], ignore: Sequence[str], colors: Mapping[str, Color]
) -> ClassList:
    """Make each category a class, or ignore it; name the pixels that no shape covers.

    `ids` are the raw ids of the categories in the drawn labels. `ignore` has categories as written
    by the user; `background` stands for what is not covered. `colors` are those of the tool.

    Raises:
        UserError: a name is no category, or fewer than two classes are left.
    """
    names = {value: name for name, value in ids.items()}
    why = ["the categories that have shapes, in alphabetical order"]
    share = f"{values.pixels[UNCOVERED] / values.pixels.total():.1%} of the pixels"
    if UNCOVERED in names:
        why.append(f"pixels that no shape covers are {names[UNCOVERED]!r}, as is the category")
    elif values.pixels[UNCOVERED]:
        names = {UNCOVERED: _BACKGROUND} | names
        what = f"{share}, which no shape covers, are the class {_BACKGROUND!r}"
        why.append(f"{what}; else write --ignore {_BACKGROUND}")
    else:
        why.append("shapes cover every pixel")
    if colors:
        why.append("their colours are those in meta.json")
        if empty := [name for name in colors if name not in names.values()]:
            why.append(f"left out, as no shape has them: {', '.join(empty)}")
    if IGNORED_BY_LABELME in ids:
        ignore = list(dict.fromkeys([*ignore, IGNORED_BY_LABELME]))
    if unknown := [name for name in ignore if name not in names.values()]:
        hint = f"Write one of {', '.join(names.values())}"
        raise UserError(f"no shape has {unknown[0]}", where="--ignore", hint=hint)
    if ignore:
        why.append(f"ignored: {', '.join(ignore)}")
    kept = {
        value: {"name": name} | ({"color": [*colors[name]]} if name in colors else {})
        for value, name in names.items()
        if name not in ignore
    }
    if len(kept) < 2:
        what = f"the annotations have {len(kept)} class, needed are two"
        raise UserError(what, hint="Annotate another category, or ignore less by --ignore")
    return ClassList(kept, [value for value in names if value not in kept], why)

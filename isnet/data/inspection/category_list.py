"""Decides the classes of a data set from the categories of its annotations."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from isnet.data.annotations.drawing import Drawing
from isnet.data.annotations.labelme_file import read_labelme
from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_label_pairs import SPLITS, Pair, find_drawings
from isnet.data.inspection.class_list import ClassList
from isnet.data.inspection.class_names import IGNORED_BY_LABELME
from isnet.data.inspection.label_values import UNCOVERED, LabelValues
from isnet.errors import UserError

_BACKGROUND = "background"
_MOST = 253


def read_drawings(
    root: Path, pairs: Iterable[Pair], description: DatasetDescription
) -> dict[Path, Drawing]:
    """Read the annotations of images, by the path of the image below `root`."""
    if not description.has_shared_labels:
        return {image: read_labelme(root / label) for image, label in pairs}
    drawings: dict[Path, Drawing] = {}
    for split in SPLITS:
        drawings |= find_drawings(description, root, split)
    return drawings


def number_categories(drawings: Mapping[Path, Drawing], root: Path) -> dict[str, int]:
    """Return raw ids of the categories that have shapes, in alphabetical order.

    A category `background` has that of pixels that nothing covers.

    Raises:
        UserError: there are none, or too many.
    """
    names = sorted({name for drawing in drawings.values() for name in drawing.categories})
    if not 1 <= len(names) <= _MOST:
        what = f"the shapes have {len(names)} categories, possible are 1 to {_MOST}"
        hint = "Annotate images, and export again" if not names else "Join some of them"
        raise UserError(what, where=str(root), hint=hint)
    background = next(filter(_is_background, names), None)
    others = [name for name in names if name != background]
    first = {} if background is None else {background: UNCOVERED}
    return first | {name: index for index, name in enumerate(others, UNCOVERED + 1)}


def decide_categories(
    values: LabelValues, ids: Mapping[str, int], ignore: Sequence[str]
) -> ClassList:
    """Make each category a class, or ignore it; name the pixels that no shape covers.

    `ids` are the raw ids of the categories in the drawn labels. `ignore` are categories, as written
    by the user; `background` is what is not covered.

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
    if IGNORED_BY_LABELME in ids:
        ignore = list(dict.fromkeys([*ignore, IGNORED_BY_LABELME]))
    if unknown := [name for name in ignore if name not in names.values()]:
        hint = f"Write one of {', '.join(names.values())}"
        raise UserError(f"no shape has {unknown[0]}", where="--ignore", hint=hint)
    if ignore:
        why.append(f"ignored: {', '.join(ignore)}")
    kept = {value: {"name": name} for value, name in names.items() if name not in ignore}
    if len(kept) < 2:
        what = f"the annotations have {len(kept)} class, needed are two"
        raise UserError(what, hint="Annotate another category, or ignore less by --ignore")
    return ClassList(kept, [value for value in names if value not in kept], why)


def _is_background(name: str) -> bool:
    return name.strip("_").lower() == _BACKGROUND

"""Reads the names of classes from the files that annotation tools leave beside masks."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from isnet.data.catalog.dataset_description import Color
from isnet.errors import UserError
from isnet.images.image_folder import files_below

IGNORED_BY_LABELME = "__ignore__"
"""Name of a class that LabelMe's converters ignore."""


class ClassName(NamedTuple):
    """The name of a class, with its id or colour in labels if the file gives them."""

    name: str
    id: int | None = None
    color: Color | None = None


class ClassNames(NamedTuple):
    """The classes that a file names, in its order."""

    origin: str
    classes: list[ClassName]


def find_names(root: Path, given: Path | None) -> ClassNames | None:
    """Read the names of the classes from `given`, or from the one such file below `root`.

    Raises:
        UserError: files below `root` name different classes, or the file cannot be read.
    """
    if given is not None:
        return _read(given)
    there = [path for path in files_below(root) if path.name in _READERS]
    found = [_read(path) for path in there]
    for other in found[1:]:
        if other.classes != found[0].classes:
            what = f"{found[0].origin} and {other.origin} name different classes"
            raise UserError(what, where=str(root), hint="Choose one by --names FILE")
    return found[0] if found else None


def _read(path: Path) -> ClassNames:
    try:
        text = path.read_text("utf-8-sig")
        classes = _READERS.get(path.name, _read_lines)(text)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        hint = "Correct it, or give another file by --names"
        raise UserError(f"has no class names: {error}", where=str(path), hint=hint) from None
    if not classes:
        raise UserError("names no classes", where=str(path), hint="Correct or remove it")
    return ClassNames(str(path), classes)


def _read_lines(text: str) -> list[ClassName]:
    """Read a name per line, with `ID ` or `R G B ` before it on every line or on none."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    lines = [line for line in lines if line != IGNORED_BY_LABELME]
    with_color = [re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(.+)", line) for line in lines]
    if all(with_color):
        return [ClassName(m[4], color=_color(m[1], m[2], m[3])) for m in with_color if m]
    with_id = [re.fullmatch(r"(\d+)[\s,:]+(.+)", line) for line in lines]
    if all(with_id):
        return [ClassName(m[2], id=int(m[1])) for m in with_id if m]
    return [ClassName(line) for line in lines]


def _read_labelmap(text: str) -> list[ClassName]:
    """Read CVAT's `name:R,G,B:parts:actions`."""
    rows = [line.split(":") for line in text.splitlines() if line.strip() and line[0] != "#"]
    return [ClassName(row[0].strip(), color=_color(*row[1].split(","))) for row in rows]


def _cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]


def _read_class_dict(text: str) -> list[ClassName]:
    rows = [row for row in _cells(text) if row[1].isdigit()]  # without the header
    return [ClassName(row[0], color=_color(*row[1:4])) for row in rows]


def _read_roboflow(text: str) -> list[ClassName]:
    """Read Roboflow's `Pixel Value, Class`."""
    return [ClassName(row[1], id=int(row[0])) for row in _cells(text) if row[0].isdigit()]


def _read_dataset_json(text: str) -> list[ClassName]:
    """Read nnU-Net's `labels`: names to ids, or, in its first version, ids to names."""
    labels = json.loads(text)["labels"]
    pairs = [(v, k) if str(k).isdigit() else (k, v) for k, v in labels.items()]
    return [ClassName(name, id=int(value)) for name, value in pairs]


def _color(*parts: str) -> Color:
    red, green, blue = (int(part) for part in parts)
    return red, green, blue


_READERS: dict[str, Callable[[str], list[ClassName]]] = {
    **dict.fromkeys(
        ("classes.txt", "class_names.txt", "labels.txt", "label_names.txt"), _read_lines
    ),
    "label_colors.txt": _read_lines,
    "labelmap.txt": _read_labelmap,
    "class_dict.csv": _read_class_dict,
    "_classes.csv": _read_roboflow,
    "dataset.json": _read_dataset_json,
}

"""Inspects a folder of images and labels: its description, and what it is made from."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isnet.data.annotations.drawing import Drawing
from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_label_pairs import Pair
from isnet.data.inspection.annotation_files import (
    find_annotations,
    iter_annotations,
    pair_annotations,
)
from isnet.data.inspection.class_list import (
    ClassList,
    decide_categories,
    decide_classes,
    number_categories,
    raw_id,
    read_colors,
    read_drawings,
    show_value,
)
from isnet.data.inspection.class_names import find_names
from isnet.data.inspection.label_values import (
    UNCOVERED,
    Annotated,
    LabelValues,
    read_grey_as_ids,
    read_values,
)
from isnet.data.inspection.pairing import NoMasksError, Pairing, find_pairing
from isnet.data.inspection.splits import Division, describe, divide
from isnet.errors import UserError
from isnet.images.image_file import MAX_PIXELS
from isnet.images.tiles import divide_side
from isnet.io.yaml_file import validate

_TILE = 1024
"""Side of the tiles into which images are cut that are too large to be decoded whole often."""


class Hints(NamedTuple):
    """What the user says about a folder; None or empty is decided by looking at it."""

    images: Path | None = None
    labels: Path | None = None
    label_suffix: str | None = None
    names: Path | None = None
    ignore: Sequence[str] = ()
    val: str | None = None


class Inspection(NamedTuple):
    """A data set found in a folder.

    `keys` is the content of its description, `report` the lines that say what was found and why.
    `train_images` is the number of images, or of their tiles, in train, and `sizes` are the numbers
    of all by (width, height). `shares` are those of the classes among all labelled pixels, by name.
    `drawings` are the annotations by the path of their image, empty for masks.
    """

    root: Path
    keys: dict[str, Any]
    description: DatasetDescription
    values: LabelValues
    train_images: int
    sizes: Counter[tuple[int, int]]
    shares: dict[str, float]
    report: list[str]
    drawings: Mapping[Path, Drawing]


_Labels = tuple[LabelValues, ClassList, dict[str, Any], Mapping[Path, Drawing]]
"""Values in labels, the classes made of them, their keys of the description, and annotations."""


def inspect_folder(folder: Path | None, hints: Hints, where: Path) -> Inspection:
    """Inspect a folder, or the folders of images and labels in `hints` if `folder` is None.

    `hints` is what the user says. `where` is the path of the description, for messages.

    Raises:
        UserError: something is missing, damaged, or ambiguous; then the message names an option.
    """
    root = _root(folder, hints)
    pairing = _find_pairing(root, hints)
    division = divide(root, pairing, hints.val)
    pairs = list(dict.fromkeys(pair for some in division.pairs.values() for pair in some))
    read = _read_masks if pairing.form is None else _read_annotations
    values, classes, label_keys, drawings = read(root, division, pairs, hints)
    keys = {**division.keys, **label_keys}
    bands = []
    if values.bands is not None:
        keys["bands"] = values.bands.total
        bands = [f"bands: {values.bands}; `bands: [4, 3, 2]` would read these three, in this order"]
    sizes, tile = values.sizes, []
    if any(width * height > MAX_PIXELS for width, height in sizes):
        keys["tile"] = _TILE
        sizes = _tile_sizes(sizes)
        limit = f"more than {MAX_PIXELS / 1e6:.0f} million pixels"
        tile = [f"tile: {_TILE}, since images have {limit}; {sizes.total()} tiles are made of them"]
    description = validate(DatasetDescription, keys, where)
    counts = {split: len(some) for split, some in division.pairs.items()}
    common = ", ".join(f"{n} of {size[0]}x{size[1]}" for size, n in values.sizes.most_common(3))
    others = f" and {len(values.sizes) - 3} other sizes" * (len(values.sizes) > 3)
    measured = "`isnet convert` measures which values become black and white"
    measured += ", `range: [low, high]` in the description sets them"
    report = [
        f"pairs: {len(pairs)}, {keys['image']} with {keys['label']}",
        f"splits: {counts['train']} train, {counts['val']} val; {division.why}",
        f"labels: {values.form}, every {'image drawn' if drawings else 'file read'}",
        f"sizes: {common}{others}",
        *tile,
        *bands,
        *(f"images: {count} of {kind}; {measured}" for kind, count in values.deep.items()),
        *(f"classes: {line}" for line in classes.why),
        *_shares(values, classes),
    ]
    labelled = sum(values.pixels[value] for value in classes.classes)
    shares = {row["name"]: values.pixels[v] / labelled for v, row in classes.classes.items()}
    train = counts["train"] * sizes.total() // values.sizes.total()
    return Inspection(root, keys, description, values, train, sizes, shares, report, drawings)


def _tile_sizes(sizes: Counter[tuple[int, int]]) -> Counter[tuple[int, int]]:
    """Return the numbers by (width, height) of the tiles of images with these `sizes`."""
    tiles: Counter[tuple[int, int]] = Counter()
    for (width, height), count in sizes.items():
        for rows in divide_side(height, _TILE):
            for columns in divide_side(width, _TILE):
                tiles[columns.stop - columns.start, rows.stop - rows.start] += count
    return tiles


def _find_pairing(root: Path, hints: Hints) -> Pairing:
    """Return the patterns of masks or of annotations; raise UserError if both could be labels."""
    images, labels = (_below(root, path) for path in (hints.images, hints.labels))
    place = None if labels is None else root / labels
    if not (hints.labels and hints.labels.is_file()):
        try:
            masks = find_pairing(root, images, labels, hints.label_suffix)
        except NoMasksError:
            if not any(iter_annotations(root, place)):
                raise
        else:
            found = iter_annotations(root, place)
            drawn = next((path for kind, path in found if kind.is_drawn), None)
            if drawn is None:
                return masks
            if not masks.label.endswith((".jpg", ".jpeg")):  # no photographs
                if hints.labels is None and hints.label_suffix is None:
                    raise _ambiguity_error(root, masks, drawn)
                return masks
    if hints.names is not None:
        what = "is for masks, and annotations have names of their own"
        raise UserError(what, where="--names", hint="Leave it out, or export masks (PNG)")
    annotations = find_annotations(root, place)
    return pair_annotations(root, images, annotations, hints.label_suffix)


def _ambiguity_error(root: Path, masks: Pairing, annotations: Path) -> UserError:
    folder = root / masks.label.partition("{")[0].rpartition("/")[0]
    what = f"masks ({masks.label}) and annotations ({annotations.relative_to(root)})"
    hint = f"Write --labels {folder} for the masks, or --labels {annotations}"
    return UserError(f"{what}: either could be the labels", where=str(root), hint=hint)


def _read_masks(root: Path, division: Division, pairs: Sequence[Pair], hints: Hints) -> _Labels:
    names = find_names(root, hints.names)
    values = read_values(root, pairs)
    if not (names and any(row.color for row in names.classes)):
        values = read_grey_as_ids(values)
    folders = set(f"{division.keys['image']}/{division.keys['label']}".split("/"))
    is_voc = {"JPEGImages", "SegmentationClass"} <= folders
    classes = decide_classes(values, names, hints.ignore, is_voc=is_voc)
    return values, classes, _label_keys(values, classes), {}


def _read_annotations(
    root: Path, division: Division, pairs: Sequence[Pair], hints: Hints
) -> _Labels:
    drawings = read_drawings(root, pairs, describe(division.keys))
    ids = number_categories(drawings, root)
    form = division.keys["label_form"]
    colors = read_colors(drawings) if form == "supervisely" else {}
    annotated = Annotated(form, drawings, ids)
    values = read_values(root, pairs, annotated)
    classes = decide_categories(values, ids, hints.ignore, colors)
    keys: dict[str, Any] = {"classes": [*classes.classes.values()]}
    if UNCOVERED in classes.classes:
        keys["unlabelled"] = classes.classes[UNCOVERED]["name"]
    if ignored := [name for name, value in ids.items() if value in classes.ignore]:
        keys["ignore"] = ignored
    return values, classes, keys, drawings


def _root(folder: Path | None, hints: Hints) -> Path:
    for path in (folder, hints.images, hints.labels):
        is_annotations = path == hints.labels and path is not None and path.is_file()
        if path is not None and not path.is_dir() and not is_annotations:
            hint = "Unpack archives first" if path.exists() else "Correct the path"
            raise UserError("is no folder", where=str(path), hint=hint)
    if folder is not None:
        plain = Path(os.path.normpath(folder.absolute()))  # without `..`, as people read it
        is_same = plain.exists() and plain.samefile(folder)  # not if `..` follows a link
        return plain if is_same else folder.resolve()
    if hints.images is None or hints.labels is None:
        raise UserError("which folder?", hint="Give FOLDER, or both --images and --labels")
    return Path(os.path.commonpath([*map(os.path.abspath, (hints.images, hints.labels))]))


def _below(root: Path, path: Path | None) -> str | None:
    if path is None:
        return None
    relative = os.path.relpath(path, root)
    if relative.startswith(".."):
        hint = "Give --images and --labels without FOLDER"
        raise UserError(f"is not in {root}", where=str(path), hint=hint)
    return "" if relative == "." else relative


def _label_keys(values: LabelValues, classes: ClassList) -> dict[str, Any]:
    form, rows = values.form, []
    for value, row in classes.classes.items():
        if form == "colors":
            rows.append({"name": row["name"], "color": raw_id(value, form)})
            continue
        palette = values.palette[value : value + 1]
        color = row.get("color") or (list(palette[0]) if palette else None)
        rows.append({"name": row["name"], "id": value} | ({"color": color} if color else {}))
    ignore = {show_value(value, form): raw_id(value, form) for value in classes.ignore}
    return {"label_form": form, "classes": rows} | ({"ignore": ignore} if ignore else {})


def _shares(values: LabelValues, classes: ClassList) -> list[str]:
    total = values.pixels.total()
    rows = [(value, row["name"]) for value, row in classes.classes.items()]
    rows += [(value, "(ignored)") for value in classes.ignore]
    width = max(len(name) for _, name in rows)
    return [
        f"  {name:{width}}  {show_value(value, values.form):>11}  "
        + (f"{values.pixels[value] / total:7.2%}" if values.pixels[value] else "no label has it")
        for value, name in rows
    ]

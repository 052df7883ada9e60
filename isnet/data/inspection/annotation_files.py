"""Finds annotation files by their content, and refuses those that `convert` does not draw."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from isnet.data.catalog.dataset_description import ANNOTATION_FORMS, SHARED_FORMS
from isnet.data.inspection.file_groups import mark_split
from isnet.errors import UserError
from isnet.io.image_folder import files_below


class AnnotationKind(NamedTuple):
    """A `label_form` or the name of another format, and the path of files that many images share.

    In `pattern`, `{split}` stands for a word that names a split. It is empty if each image has a
    file.
    """

    format: str
    pattern: str

    @property
    def is_drawn(self) -> bool:
        """Whether `isnet convert` draws this format."""
        return self.format in ANNOTATION_FORMS


Annotations = Mapping[AnnotationKind, Sequence[Path]]
"""Annotation files by their kind."""


def find_annotations(root: Path, labels: Path | None) -> Annotations:
    """Find the annotation files below `root`, see `iter_annotations`."""
    kinds: dict[AnnotationKind, list[Path]] = {}
    for kind, path in iter_annotations(root, labels):
        kinds.setdefault(kind, []).append(path)
    return kinds


def iter_annotations(root: Path, labels: Path | None) -> Iterator[tuple[AnnotationKind, Path]]:
    """Yield the annotation files below `root`, in the folder `labels` or of the kind of that file.

    Each file of LabelMe is for one image: those in folders that differ in the split alone belong
    together.

    Raises:
        UserError: `labels` is a file without annotations.
    """
    chosen, place = None, None
    if labels is not None and labels.is_file():
        chosen = _kind_of(root, labels)
        if chosen is None:
            hint = "Give a folder, or a file of COCO (.json), CVAT (.xml) or LabelMe (.json)"
            raise UserError("has no annotations", where=str(labels), hint=hint)
        place = _place_of(root, labels) if chosen.format == "labelme" else None
        labels = None
    for path in files_below(labels or root):
        kind = _kind_of(root, path)
        if kind is None or chosen not in (None, kind):
            continue
        if place is None or place == _place_of(root, path):
            yield kind, path


def _place_of(root: Path, path: Path) -> tuple[str, ...]:
    return mark_split(path.relative_to(root).parts[:-1])[0]


def choose_kind(root: Path, found: Annotations) -> AnnotationKind:
    """Return the one kind of annotations in a folder.

    Raises:
        UserError: there are several, or `isnet convert` does not draw it.
    """
    if len(found) > 1:
        shown = ", ".join(
            f"{kind.format} ({kind.pattern or paths[0].relative_to(root)})"
            for kind, paths in found.items()
        )
        hint = "Choose one by --labels FILE; let those of train and val differ in these words alone"
        what = f"{len(found)} kinds of annotations could be the labels: {shown}"
        raise UserError(what, where=str(root), hint=hint)
    ((kind, (path, *_)),) = found.items()
    if not kind.is_drawn:
        what = f"holds {kind.format}, which are not drawn"
        hint = "Export COCO's JSON with polygons, CVAT for images 1.1, LabelMe's JSON, or masks"
        raise UserError(what, where=str(path), hint=hint)
    return kind


def _kind_of(root: Path, path: Path) -> AnnotationKind | None:
    if path.suffix.lower() not in (".json", ".xml") or not (name := _format_of(path)):
        return None
    pattern = ""
    if name in SHARED_FORMS:
        relative = path.relative_to(root)
        pattern = "/".join(mark_split((*relative.parts[:-1], path.stem))[0]) + path.suffix
    return AnnotationKind(name, pattern)


def _format_of(path: Path) -> str | None:
    """Return the `label_form` of a file, the name of another format, or None if it has neither."""
    try:
        text = path.read_text("utf-8-sig")
        tree = json.loads(text) if path.suffix.lower() == ".json" else text
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(tree, str):
        if "<annotations" in tree:
            return "cvat" if "<image" in tree or "<track" in tree else None
        if "<bndbox" in tree:
            return "Pascal VOC's XML annotations"
        return "old LabelMe's XML annotations" if "<polygon" in tree else None
    if not isinstance(tree, dict):
        return None
    if {"images", "annotations"} <= tree.keys():
        drawn = not tree["annotations"] or _has_areas(tree["annotations"])
        return "coco" if drawn else "COCO's annotations without polygons"
    if "shapes" in tree:
        return "labelme"
    return "Supervisely's JSON annotations" if "objects" in tree else None


def _has_areas(annotations: Any) -> bool:
    return isinstance(annotations, list) and any(
        isinstance(each, dict) and (each.get("segmentation") or each.get("segments_info"))
        for each in annotations
    )

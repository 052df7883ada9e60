"""Finds annotation files by their content, and the path patterns by which images belong to them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from isnet.data.annotations.shared_file import read_shared_file
from isnet.data.catalog.dataset_description import ANNOTATION_FORMS, SHARED_FORMS
from isnet.data.inspection.pairing import Pairing, find_split_folders, mark_split, pair_files
from isnet.errors import UserError
from isnet.images.image_folder import files_below, is_image


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

    If each image has a file, files belong together if their folders differ in the split alone.

    Raises:
        UserError: `labels` is a file without annotations.
    """
    chosen, place = None, None
    if labels is not None and labels.is_file():
        chosen = _kind_of(root, labels)
        if chosen is None:
            hint = "Give a folder, or a file of COCO, LabelMe, Supervisely (.json) or CVAT (.xml)"
            raise UserError("has no annotations", where=str(labels), hint=hint)
        place = None if chosen.format in SHARED_FORMS else _place_of(root, labels)
        labels = None
    for path in files_below(labels or root):
        kind = _kind_of(root, path)
        if kind is None or chosen not in (None, kind):
            continue
        if place is None or place == _place_of(root, path):
            yield kind, path


def _place_of(root: Path, path: Path) -> tuple[str, ...]:
    return mark_split(path.relative_to(root).parts[:-1])[0]


def _kind_of(root: Path, path: Path) -> AnnotationKind | None:
    if path.suffix.lower() not in (".json", ".xml") or not (name := _format_of(path)):
        return None
    marked, _ = mark_split(path.relative_to(root).with_suffix("").parts)
    pattern = "/".join(marked) + path.suffix
    return AnnotationKind(name, pattern if name in SHARED_FORMS else "")


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
    return "supervisely" if {"objects", "size"} <= tree.keys() else None


def _has_areas(annotations: Any) -> bool:
    return isinstance(annotations, list) and any(
        isinstance(each, dict) and (each.get("segmentation") or each.get("segments_info"))
        for each in annotations
    )


def pair_annotations(
    root: Path, images: str | None, found: Annotations, ending: str | None
) -> Pairing:
    """Find the patterns of the annotations below `root` and of their images.

    `images` is the folder of the images below `root`, or None to find it. `ending` is what the
    stems of LabelMe's files have after `{name}`, or None.

    Raises:
        UserError: the annotations are ambiguous or not drawn, or images are missing.
    """
    kind, files = _choose_kind(root, found)
    if kind.format == "labelme":
        return pair_files(root, images, files, ending)._replace(form="labelme")
    if ending is not None:
        what = f"is for masks and LabelMe's files, not for {files[0]}"
        raise UserError(what, where="--label-suffix", hint="Leave it out")
    if kind.format == "supervisely":
        return _pair_datasets(root, images, files)
    names = _names_by_split(root, kind, files)
    # COCO's panoptic segments are image files too.
    segments = {
        entry.drawing.file for path in files for entry in read_shared_file(path, kind.format)
    }
    existing = {
        path.relative_to(root).as_posix()
        for path in files_below(root / (images or ""))
        if is_image(path) and path not in segments
    }
    where = str(files[0] if len(files) == 1 else root / kind.pattern)
    bases = {word: _find_bases(existing, some, word, where) for word, some in names.items()}
    base = _choose_base(bases, where)
    words = find_split_folders(root, {word for word in names if word})
    if len(words) > 1 and "{split}" not in base + kind.pattern:
        what = f"its subsets {' and '.join(words.values())} have their images in one folder"
        hint = "Move the images of each subset into a folder of its name"
        raise UserError(what, where=where, hint=hint)
    suffixes = {PurePosixPath(name).suffix.lower() for some in names.values() for name in some}
    image = f"{base}{{name}}{suffixes.pop() if len(suffixes) == 1 else '.*'}"
    return Pairing(image, kind.pattern, words, kind.format)


def _pair_datasets(root: Path, images: str | None, files: Sequence[Path]) -> Pairing:
    """Return the patterns of Supervisely's `DATASET/img/a.jpg` and `DATASET/ann/a.jpg.json`."""
    for path in files:
        if path.parent.name != "ann" or path.parent == root:
            hint = "Give the whole project: DATASET/img/a.jpg, DATASET/ann/a.jpg.json, meta.json"
            raise UserError("is not in the folder `ann` of a dataset", where=str(path), hint=hint)
    folders = sorted({path.parent.parent for path in files})
    if not all((folder / "img").is_relative_to(root / (images or "")) for folder in folders):
        what = f"{images} is not {folders[0] / 'img'}, where Supervisely's images lie"
        raise UserError(what, where="--images", hint="Leave it out")
    datasets = [folder.relative_to(root).parts for folder in folders]
    marked = [mark_split(parts) for parts in datasets]
    if len({base for base, _ in marked}) > 1:
        what = f"the datasets are {', '.join(map('/'.join, datasets))}, not just train and val"
        raise UserError(what, where=str(root), hint="Rename or join them, or give one as FOLDER")
    base = "".join(f"{part}/" for part in marked[0][0])
    suffixes = {PurePosixPath(path.stem).suffix for path in files}
    name = f"{{name}}{suffixes.pop() if len(suffixes) == 1 else ''}"
    words = find_split_folders(root, {word for _, word in marked if word})
    return Pairing(f"{base}img/{name}", f"{base}ann/{name}.json", words, "supervisely")


def _choose_kind(root: Path, found: Annotations) -> tuple[AnnotationKind, Sequence[Path]]:
    """Return the one kind of annotations, which `isnet convert` must draw, and its files."""
    if len(found) > 1:
        shown = ", ".join(
            f"{kind.format} ({kind.pattern or paths[0].relative_to(root)})"
            for kind, paths in found.items()
        )
        hint = "Choose one by --labels FILE; let those of train and val differ in these words alone"
        what = f"{len(found)} kinds of annotations could be the labels: {shown}"
        raise UserError(what, where=str(root), hint=hint)
    ((kind, files),) = found.items()
    if not kind.is_drawn:
        what = f"holds {kind.format}, which are not drawn"
        hint = "Export COCO's JSON with polygons, CVAT for images 1.1, LabelMe's JSON, or masks"
        raise UserError(what, where=str(files[0]), hint=hint)
    return kind, files


def _names_by_split(
    root: Path, kind: AnnotationKind, files: Sequence[Path]
) -> dict[str, list[str]]:
    """Return the names of the listed images by the word that names their split, or by ''."""
    names: dict[str, list[str]] = {}
    for path in files:
        _, word = mark_split(path.relative_to(root).with_suffix("").parts)
        entries = read_shared_file(path, kind.format)
        subsets = {entry.subset for entry in entries if entry.subset}
        by_subset = not word and len(subsets) > 1
        if by_subset and {*find_split_folders(path, subsets).values()} != subsets:
            what = f"has the subsets {', '.join(sorted(subsets))}, which do not name train and val"
            raise UserError(what, where=str(path), hint="Rename them in CVAT, and export again")
        for entry in entries:
            names.setdefault((by_subset and entry.subset) or word, []).append(entry.name)
    if not names:
        raise UserError("lists no images", where=str(files[0]), hint="Export it with images")
    return names


def _find_bases(existing: set[str], names: Sequence[str], word: str, where: str) -> set[str]:
    """Return what must stand before `names` to give existing paths, with `{split}` for `word`."""
    ends = sorted(path for path in existing if f"/{path}".endswith(f"/{names[0]}"))
    counts = {
        base: sum(base + name in existing for name in names)
        for base in (path.removesuffix(names[0]) for path in ends)
    }
    if len(names) not in counts.values():
        best = max(counts, key=counts.__getitem__, default="")
        missing = next(name for name in names if best + name not in existing)
        what = f"{missing} is listed, but there is no image {best}{missing}"
        raise UserError(what, where=where, hint="Add it, or give the images' folder by --images")
    bases = [PurePosixPath(base).parts for base, count in counts.items() if count == len(names)]
    marked = [mark_split(parts) for parts in bases]
    return {
        "".join(f"{part}/" for part in (some if word and found == word else parts))
        for parts, (some, found) in zip(bases, marked, strict=True)
    }


def _choose_base(bases: Mapping[str, set[str]], where: str) -> str:
    common = set.intersection(*bases.values())
    common = {base for base in common if "{split}" in base} or common
    if not common:
        shown = ", ".join(f"{min(some)} ({word})" for word, some in bases.items())
        hint = "Name the folders by the same words as the splits"
        raise UserError(f"no pattern has the images of all splits: {shown}", where=where, hint=hint)
    if len(common) > 1:
        what = f"{' and '.join(sorted(common))}: either could have the images"
        raise UserError(what, where=where, hint="Give the images' folder by --images")
    return common.pop()

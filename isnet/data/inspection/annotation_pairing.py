"""Finds the path patterns by which annotations belong to the images of a folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from isnet.data.annotations.shared_file import read_shared_file
from isnet.data.catalog.dataset_description import SHARED_FORMS
from isnet.data.inspection.annotation_files import AnnotationKind, Annotations, choose_kind
from isnet.data.inspection.file_groups import mark_split
from isnet.data.inspection.pairing import Pairing, find_split_folders, pair_files
from isnet.errors import UserError
from isnet.io.image_folder import files_below, is_image


def pair_annotations(
    root: Path, images: str | None, found: Annotations, ending: str | None
) -> Pairing:
    """Find the patterns of the annotations below `root` and of their images.

    Args:
        root: the folder of the data set.
        images: folder of the images below `root`, or None to find it.
        found: the annotation files.
        ending: what the stems of LabelMe's files have more than `{name}`, or None.

    Raises:
        UserError: the annotations are ambiguous or not drawn, or images are missing.
    """
    kind = choose_kind(root, found)
    if kind.format not in SHARED_FORMS:
        return pair_files(root, images, found[kind], ending)._replace(form="labelme")
    if ending is not None:
        what = f"is for a label for each image, and {found[kind][0]} has those of many"
        raise UserError(what, where="--label-suffix", hint="Leave it out")
    names = _names_by_split(root, kind, found[kind])
    # COCO's panoptic segments are image files too.
    segments = {
        entry.drawing.file for path in found[kind] for entry in read_shared_file(path, kind.format)
    }
    existing = {
        path.relative_to(root).as_posix()
        for path in files_below(root / (images or ""))
        if is_image(path) and path not in segments
    }
    where = str(found[kind][0] if len(found[kind]) == 1 else root / kind.pattern)
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


def _names_by_split(
    root: Path, kind: AnnotationKind, files: Sequence[Path]
) -> dict[str, list[str]]:
    """Return the names of the listed images by the word that names their split, or by ''.

    Raises:
        UserError: a subset of a CVAT file names no split.
    """
    names: dict[str, list[str]] = {}
    for path in files:
        relative = path.relative_to(root)
        _, word = mark_split((*relative.parts[:-1], path.stem))
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
    """Return what must stand before `names` to give existing paths, with `{split}` for `word`.

    Raises:
        UserError: an image is missing.
    """
    ends = {path for path in existing if f"/{path}".endswith(f"/{names[0]}")}
    counts = {
        base: sum(base + name in existing for name in names)
        for base in (path.removesuffix(names[0]) for path in sorted(ends))
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

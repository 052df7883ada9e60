"""Finds the pairs of image and label files in each split of a data set."""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from isnet.data.catalog import DatasetDescription
from isnet.errors import UserError
from isnet.io.image_folder import IMAGE_SUFFIXES, files_below, is_image

SPLITS = ("train", "val")

Pair = tuple[Path, Path]
"""Paths of an image and of its label file, both relative to the data set's folder."""


def find_pairs(description: DatasetDescription, root: Path, split: str) -> list[Pair]:
    """Return the image-label pairs of a split, sorted by image path.

    Raises:
        UserError: the split is empty, an image has no label, or a label has no image.
    """
    find = _search_folders if description.list is None else _read_list
    pairs = find(description, root, split)
    if not pairs:
        what = f"the split {split} has no images"
        raise UserError(what, where=str(root), hint="Complete the data set")
    for path in (path for pair in pairs for path in pair):
        if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
            what = f"the name {str(path)!a} is not UTF-8"
            raise UserError(what, where=str(root), hint="Rename the file")
    return sorted(pairs)


def _search_folders(description: DatasetDescription, root: Path, split: str) -> list[Pair]:
    folder = description.folder(split)
    labels = _match_files(root, description.label, folder)
    # In a common folder, the image pattern `{name}.*` also matches the label `{name}_mask.png`.
    images = _match_files(root, description.image, folder, excluded=set(labels.values()))
    for name, image in images.items():
        if name not in labels:
            missing = description.label.replace("{split}", folder).replace("{name}", name)
            hint = "Add it or remove the image"
            raise UserError(f"{image} has no label {missing}", where=str(root), hint=hint)
    # A label without an image is an error too: it is a sign of an interrupted copy.
    for name, label in labels.items():
        if name not in images:
            hint = "Add it or remove the label"
            raise UserError(f"label {label} has no image", where=str(root), hint=hint)
    return [
        (image, labels[name])
        for name, image in images.items()
        if _is_in_split(description.val_fraction, name, split)
    ]


def _is_in_split(val_fraction: float | None, name: str, split: str) -> bool:
    """Return whether an image belongs to `split`, by a hash of the image's name.

    When images are added, the others therefore stay in their split. Without `val_fraction`, the
    result is always true.
    """
    if val_fraction is None:
        return True
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return (number < val_fraction * 2**64) == (split == "val")


def _match_files(
    root: Path, pattern: str, folder: str, excluded: Collection[Path] = ()
) -> dict[str, Path]:
    """Return the files that match a path pattern, as a mapping from `{name}` to path.

    Paths are relative to `root`; `folder` replaces `{split}` in the pattern. The extension may be
    in any case.
    """
    before, _, after = pattern.replace("{split}", folder).partition("{name}")
    has_any_suffix = after.endswith(".*")
    ending = re.sub(r"\.[^./]*$", "", after)
    suffix = r"\.[A-Za-z0-9]+" if has_any_suffix else f"(?i:{re.escape(after[len(ending) :])})"
    shape = f"{re.escape(before)}(.+){re.escape(ending)}{suffix}"
    files: dict[str, Path] = {}
    for path in sorted(files_below(root / before.rpartition("/")[0])):
        relative = path.relative_to(root)
        match = re.fullmatch(shape, relative.as_posix())
        if not match or relative in excluded:
            continue
        if has_any_suffix and not is_image(path):
            continue
        if match[1] in files:
            what = f"{files[match[1]]} and {relative} have the same name"
            raise UserError(what, where=str(root), hint="Remove one of them")
        files[match[1]] = relative
    return files


def _read_list(description: DatasetDescription, root: Path, split: str) -> list[Pair]:
    folder = description.folder(split)
    list_file = root / (description.list or "").replace("{split}", folder)
    if not list_file.is_file():
        raise UserError(f"there is no list {list_file}", where=str(root), hint="Add it")
    pairs = []
    # Some editors start a text file with a byte order mark.
    lines = list_file.read_text("utf-8-sig", "surrogateescape").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        pair = _parse_line(description, root, folder, line.strip())
        _check_pair(root, pair, f"{list_file}, line {number}")
        if _is_in_split(description.val_fraction, pair[0].with_suffix("").as_posix(), split):
            pairs.append(pair)
    return pairs


def _check_pair(root: Path, pair: Pair, where: str) -> None:
    for path in pair:
        if path.is_absolute() or ".." in path.parts:
            hint = f"Write names, or paths that are relative to {root}"
            raise UserError(f"{path} is outside the data set", where=where, hint=hint)
        if not (root / path).is_file():
            raise UserError(f"there is no {path}", where=where, hint="Add it or remove the line")


def _parse_line(description: DatasetDescription, root: Path, folder: str, line: str) -> Pair:
    """Parse a line of a list file: two paths (image and label), or the name that both share."""
    if len(words := line.split()) == 2 and all(Path(word).suffix for word in words):
        return Path(words[0]), Path(words[1])
    suffix = Path(line).suffix.lower()
    name = line[: -len(suffix)] if suffix in IMAGE_SUFFIXES else line
    image, label = (
        _add_suffix(root, pattern.replace("{split}", folder).replace("{name}", name))
        for pattern in (description.image, description.label)
    )
    return image, label


def _add_suffix(root: Path, path: str) -> Path:
    """Replace a final `.*` of a path by the suffix of the existing image file, else by `.png`."""
    if not path.endswith(".*"):
        return Path(path)
    stem = path.removesuffix(".*")
    forms = [form for suffix in sorted(IMAGE_SUFFIXES) for form in (suffix, suffix.upper())]
    existing = (form for form in forms if (root / f"{stem}{form}").is_file())
    return Path(stem + next(existing, ".png"))

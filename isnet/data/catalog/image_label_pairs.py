"""Finds the pairs of image and label files in each split of a data set."""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_groups import group_of
from isnet.errors import UserError
from isnet.images.image_folder import IMAGE_SUFFIXES, files_below, is_image

if TYPE_CHECKING:
    from isnet.data.annotations.drawing import Drawing

SPLITS = ("train", "val")

Pair = tuple[Path, Path]
"""Paths of an image and of its label file, both relative to the data set's folder."""
_Named = tuple[str, Pair]
"""A pair with the name that decides its split or group."""


def find_pairs(description: DatasetDescription, root: Path, split: str) -> list[Pair]:
    """Return the image-label pairs of a split, sorted by image path.

    Raises:
        UserError: the split is empty, an image has no label, or a label has no image.
    """
    if description.has_shared_labels:
        named = [
            (image_name(description, split, image), (image, drawing.file.relative_to(root)))
            for image, drawing in find_drawings(description, root, split).items()
        ]
    else:
        find = _search_folders if description.list is None else _read_list
        named = find(description, root, split)
    if description.val_fraction is not None:
        if description.group is not None:
            named = [(group_of(description.group, name), pair) for name, pair in named]
        in_val = _choose_val({name for name, _ in named}, description.val_fraction)
        named = [(name, pair) for name, pair in named if (name in in_val) == (split == "val")]
    pairs = [pair for _, pair in named]
    if not pairs:
        what = f"the split {split} has no images"
        hint = "Complete the data set"
        if description.group is not None:
            hint += f", or change `group: {description.group!r}`, which makes one group of all"
        raise UserError(what, where=str(root), hint=hint)
    for path in (path for pair in pairs for path in pair):
        if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
            what = f"the name {str(path)!a} is not UTF-8"
            raise UserError(what, where=str(root), hint="Rename the file")
    return sorted(pairs)


def image_name(description: DatasetDescription, split: str, image: Path) -> str:
    """Return the part of an image's path that `{name}` stands for, else the path without suffix."""
    shape = _compile_pattern(description.image, description.folder(split))
    match = shape.fullmatch(image.as_posix())
    return match[1] if match else image.with_suffix("").as_posix()


def _choose_val(names: Collection[str], val_fraction: float) -> set[str]:
    """Return the names or groups that become `val`, by a hash of each.

    When images are added, the others therefore stay in their split, except that at least one
    becomes `val`, and at least one `train`.
    """
    numbers = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) for name in names}
    count = sum(number < val_fraction * 2**64 for number in numbers.values())
    count = min(max(count, 1), len(numbers) - 1)
    return set(sorted(numbers, key=numbers.__getitem__)[:count])


def _search_folders(description: DatasetDescription, root: Path, split: str) -> list[_Named]:
    folder = description.folder(split)
    labels = _match_files(root, description.label, folder)
    # In a common folder, the image pattern `{name}.*` also matches the label `{name}_mask.png`.
    images = _match_files(root, description.image, folder, excluded=set(labels.values()))
    if name := next((name for name in images if name not in labels), None):
        missing = description.label.replace("{split}", folder).replace("{name}", name)
        what, hint = f"{images[name]} has no label {missing}", "Add it or remove the image"
        raise UserError(what, where=str(root), hint=hint)
    # A label without an image is an error too: it is a sign of an interrupted copy.
    if name := next((name for name in labels if name not in images), None):
        what, hint = f"label {labels[name]} has no image", "Add it or remove the label"
        raise UserError(what, where=str(root), hint=hint)
    return [(name, (image, labels[name])) for name, image in images.items()]


def find_drawings(description: DatasetDescription, root: Path, split: str) -> dict[Path, Drawing]:
    """Return the annotations of the images of a split, from an annotation file that lists them.

    With `val_fraction`, both splits have the annotations of all images. Images are relative to
    `root`. If the folder has no `{split}` in its path, images that the file does not list are no
    part of the split.

    Raises:
        UserError: the file cannot be read, lists an image that does not exist, or does not list one
            of the split's folder.
    """
    from isnet.data.annotations.shared_file import read_shared_file

    folder = description.folder(split)
    file = root / description.label.replace("{split}", folder)
    by_subset = "{split}" in description.image and "{split}" not in description.label
    before = description.image.replace("{split}", folder).partition("{name}")[0]
    images = _match_files(root, description.image, folder)
    existing = set(images.values())
    unlisted = set(existing)
    drawings: dict[Path, Drawing] = {}
    for name, subset, drawing in read_shared_file(file, description.label_form):
        if by_subset and subset is None:
            hint = "Write {split} in the description's `label` too, with one file for each split"
            raise UserError(f"{name} has no subset", where=str(file), hint=hint)
        if by_subset and subset != folder:
            continue
        image = Path(before + name)
        if image not in existing:
            what = f"{name} is listed, but there is no {image}"
            hint = "Add it or correct the description's `image`"
            raise UserError(what, where=str(file), hint=hint)
        unlisted.discard(image)
        drawings[image] = drawing
    if unlisted and "{split}" in description.image:
        what = f"{min(unlisted)} is not listed"
        raise UserError(what, where=str(file), hint="Add it or remove the image")
    return drawings


def _compile_pattern(pattern: str, folder: str) -> re.Pattern[str]:
    """Return the regular expression of a path pattern, with `{name}` as its group."""
    before, _, after = pattern.replace("{split}", folder).partition("{name}")
    ending = re.sub(r"\.[^./]*$", "", after)
    suffix = f"(?i:{re.escape(after[len(ending) :])})"
    if after.endswith(".*"):
        suffix = r"\.[A-Za-z0-9]+"
    return re.compile(f"{re.escape(before)}(.+){re.escape(ending)}{suffix}")


def _match_files(
    root: Path, pattern: str, folder: str, excluded: Collection[Path] = ()
) -> dict[str, Path]:
    """Return the files that match a path pattern, as a mapping from `{name}` to path.

    Paths are relative to `root`; `folder` replaces `{split}` in the pattern. The extension may be
    in any case.
    """
    shape, before = _compile_pattern(pattern, folder), pattern.partition("{name}")[0]
    place = root / before.replace("{split}", folder).rpartition("/")[0]
    files: dict[str, Path] = {}
    for path in sorted(files_below(place)):
        relative = path.relative_to(root)
        match = shape.fullmatch(relative.as_posix())
        is_wanted = is_image(path) or not pattern.endswith(".*")
        if not match or relative in excluded or not is_wanted:
            continue
        if match[1] in files:
            what = f"{files[match[1]]} and {relative} have the same name"
            raise UserError(what, where=str(root), hint="Remove one of them")
        files[match[1]] = relative
    return files


def _read_list(description: DatasetDescription, root: Path, split: str) -> list[_Named]:
    folder = description.folder(split)
    list_file = root / (description.list or "").replace("{split}", folder)
    if not list_file.is_file():
        raise UserError(f"there is no list {list_file}", where=str(root), hint="Add it")
    content = list_file.read_bytes()
    # Some editors start a text file with a byte order mark; PowerShell writes UTF-16.
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if is_utf16 else "utf-8-sig", "surrogateescape")
    named = []
    # Not splitlines(): a name may have a control character that it takes for the end of a line.
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if not line.strip():
            continue
        where = f"{list_file}, line {number}"
        pair = _parse_line(description, root, folder, line.strip())
        for path in pair:
            if path.is_absolute() or ".." in path.parts:
                what = f"{path} is outside the data set"
                hint = f"Write names, or paths that are relative to {root}"
                raise UserError(what, where=where, hint=hint)
            if not (root / path).is_file():
                what, hint = f"there is no {path}", "Add it or remove the line"
                raise UserError(what, where=where, hint=hint)
        name = pair[0].with_suffix("").as_posix()
        if description.group is not None:
            name = image_name(description, split, pair[0])
        named.append((name, pair))
    return named


def _parse_line(description: DatasetDescription, root: Path, folder: str, line: str) -> Pair:
    """Parse a line of a list file: two paths (image and label), or the name that both share.

    A tab or spaces separate two paths. Names may contain spaces: what exists decides.
    """
    gaps = list(re.finditer(r"\s*\t\s*" if "\t" in line else " +", line))
    splits = [(Path(line[: gap.start()]), Path(line[gap.end() :])) for gap in gaps]
    pairs = [pair for pair in splits if all(path.suffix for path in pair)]
    suffix = Path(line).suffix.lower()
    name = line[: -len(suffix)] if suffix in IMAGE_SUFFIXES else line
    image, label = (
        _add_suffix(root, pattern.replace("{split}", folder).replace("{name}", name))
        for pattern in (description.image, description.label)
    )
    choices = [*pairs, (image, label)] if len(gaps) == 1 else [(image, label), *pairs]
    found = (pair for pair in choices if all((root / path).is_file() for path in pair))
    return next(found, choices[0])  # the first one is named as missing


def _add_suffix(root: Path, path: str) -> Path:
    """Replace a final `.*` of a path by the suffix of the existing image file, else by `.png`."""
    if not path.endswith(".*"):
        return Path(path)
    stem = path.removesuffix(".*")
    forms = [form for suffix in sorted(IMAGE_SUFFIXES) for form in (suffix, suffix.upper())]
    existing = (form for form in forms if (root / f"{stem}{form}").is_file())
    return Path(stem + next(existing, ".png"))

"""Finds the folder of a data set, which may be nested in other folders or split among several."""

import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_label_pairs import SPLITS
from isnet.errors import UserError

_LEVELS = 3
"""Number of folder levels below the given folders that are searched."""
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def find_root(description: DatasetDescription, folders: Sequence[Path], joined: Path) -> Path:
    """Return the first folder, among `folders` and their subfolders, that contains the data set.

    If its parts are in several folders, such as one for each archive, they are joined by links in
    the folder `joined`.

    Raises:
        UserError: a folder or list of the data set is missing.
    """
    needed = _fixed_parts(description)
    candidates = [path for folder in folders for path in _subfolders(folder)]

    def find(parts: list[str]) -> Path | None:
        holds_all = (all((path / part).exists() for part in parts) for path in candidates)
        return next(compress(candidates, holds_all), None)

    if root := find(needed):
        return root
    places = {
        part: find([part, *(inner for inner in needed if inner.startswith(f"{part}/"))])
        for part in needed
        if not any(part.startswith(f"{other}/") for other in needed)
    }
    missing = [part for part, place in places.items() if place is None]
    # The part "." is a whole folder, which cannot be joined with others.
    if missing or "." in needed:
        absent = [part for part in needed if find([part]) is None]
        what = f"has no {', '.join(absent or missing or needed)}"
        hint = "Give the folder, or the archives, that contain the whole data set"
        if archives := [str(path) for folder in folders for path in archives_in(folder)]:
            hint = f"Archives are not unpacked there: give {' and '.join(archives[:4])} as `source`"
        raise UserError(what, where=" and ".join(map(str, folders)), hint=hint)
    shutil.rmtree(joined, ignore_errors=True)
    for part, place in places.items():
        assert place is not None
        link = joined / part
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place / part)
    return joined


def _fixed_parts(description: DatasetDescription) -> list[str]:
    """Return the relative paths of folders and list files that every copy of a data set has."""
    patterns = [description.image, description.label, *filter(None, [description.list])]
    parts = []
    for pattern in patterns:
        for split in SPLITS:
            path = pattern.replace("{split}", description.folder(split))
            fixed = path.partition("{name}")[0]
            parts.append(fixed if fixed == path else fixed.rpartition("/")[0] or ".")
    return list(dict.fromkeys(parts))


def _subfolders(folder: Path) -> Iterator[Path]:
    """Yield `folder` and its subfolders to a limited depth, in breadth-first order."""
    level = [folder]
    for _ in range(_LEVELS):
        yield from level
        # os.walk has no entries for a folder that it may not read.
        inner = ((parent, next(os.walk(parent), ("", [], []))[1]) for parent in level)
        level = [
            parent / name
            for parent, names in inner
            for name in sorted(names)
            if name[0] != "." and name != "__MACOSX"
        ]
    yield from level


def archives_in(folder: Path) -> list[Path]:
    """Return the archives in `folder` and its subfolders, sorted by name in each."""
    return [
        path
        for subfolder in _subfolders(folder)
        for path in sorted(subfolder.iterdir())
        if path.name.lower().endswith(_ARCHIVES) and path.name[0] != "." and path.is_file()
    ]

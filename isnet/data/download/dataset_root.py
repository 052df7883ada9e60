"""The folder that holds a data set: the one that was given, one in it, or one of links to parts
that lie apart.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_label_pairs import SPLITS
from isnet.errors import UserError

__all__ = ["archives_in", "find_root"]

_LEVELS = 3
"""Folders that archives and their users put around a data set, at most."""
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def find_root(description: DatasetDescription, folders: Sequence[Path], joined: Path) -> Path:
    """Return the first of `folders`, or of the folders in them, that holds the data set.

    Where no folder has all, as when each archive made its own, the parts are joined.

    Args:
        description: says which folders and lists there must be.
        folders: where to look.
        joined: may become a folder of links to the parts.

    Raises:
        UserError: a folder or list of the data set is nowhere.
    """
    needed = _fixed_parts(description)
    for place in chain.from_iterable(map(_folders, folders)):
        if all((place / part).exists() for part in needed):
            return place
    places = list(chain.from_iterable(map(_folders, folders)))
    found = {part: _place_of(part, needed, places) for part in _outermost(needed)}
    missing = [part for part, place in found.items() if place is None]
    # What lies in no folder of its own can be linked to only with all that is beside it.
    if missing or "." in needed:
        raise UserError(
            f"has no {', '.join(missing or needed)}",
            where=" and ".join(map(str, folders)),
            hint=_hint(folders),
        )
    return _join({part: place / part for part, place in found.items() if place}, joined)


def _fixed_parts(description: DatasetDescription) -> list[str]:
    """Return the folders and lists that every copy of the data set must have."""
    patterns = [description.image, description.label, *filter(None, [description.list])]
    parts = []
    for pattern in patterns:
        for split in SPLITS:
            path = pattern.replace("{split}", description.folder(split))
            fixed = path.partition("{name}")[0]
            parts.append(fixed if fixed == path else fixed.rpartition("/")[0] or ".")
    return list(dict.fromkeys(parts))


def _folders(folder: Path) -> Iterator[Path]:
    """Give `folder`, then those in it, then those in these, as deep as is searched."""
    level = [folder]
    for _ in range(_LEVELS):
        yield from level
        level = [inner for outer in level for inner in _inside(outer)]
    yield from level


def _inside(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:  # not ours to read
        return []
    return [folder / name for name in sorted(names) if name[0] != "." and name != "__MACOSX"]


def _outermost(parts: list[str]) -> list[str]:
    return [part for part in parts if not any(part.startswith(f"{other}/") for other in parts)]


def _place_of(part: str, needed: list[str], places: list[Path]) -> Path | None:
    """Return the first folder that has a part, and in it what is needed of it."""
    below = [other for other in needed if other.startswith(f"{part}/")]
    for place in places:
        if all((place / name).exists() for name in (part, *below)):
            return place
    return None


def _join(parts: dict[str, Path], joined: Path) -> Path:
    shutil.rmtree(joined, ignore_errors=True)
    for part, target in parts.items():
        link = joined / part
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return joined


def archives_in(folder: Path) -> list[Path]:
    """Return the archives in `folder` and in the folders in it, as deep as data sets are searched,
    by their names.
    """
    return [
        path
        for place in _folders(folder)
        for path in sorted(place.iterdir())
        if path.name.lower().endswith(_ARCHIVES) and path.name[0] != "." and path.is_file()
    ]


def _hint(folders: Sequence[Path]) -> str:
    packed = [str(path) for folder in folders for path in archives_in(folder)]
    if packed:
        return f"Archives are not unpacked there: give {' and '.join(packed[:4])} as `source`"
    return "Give the folder, or the archives, that hold all of the data set"

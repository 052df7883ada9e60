"""Pairs of an image and its label, per split, as a description says where they are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from isnet.data.catalog import DatasetDescription
from isnet.errors import UserError

__all__ = ["SPLITS", "Pair", "find_pairs"]

SPLITS = ("train", "val")
_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}

Pair = tuple[Path, Path]
"""An image and its label file, both relative to the data set's folder."""


def find_pairs(description: DatasetDescription, root: Path, split: str) -> list[Pair]:
    """List the image-label pairs of a split, sorted by image name.

    Raises:
        UserError: the split is empty, or an image or label has no partner; the first such file is
        named.
    """
    if description.list is not None:
        pairs = _listed(description, root, split)
    else:
        pairs = _found(description, root, split)
    if not pairs:
        raise UserError(
            f"the split {split} has no images", where=str(root), hint="Complete the data set"
        )
    for path in (half for pair in pairs for half in pair):
        if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
            raise UserError(
                f"the name {str(path)!a} is not UTF-8", where=str(root), hint="Rename the file"
            )
    return sorted(pairs)


def _found(description: DatasetDescription, root: Path, split: str) -> list[Pair]:
    """Return what lies in the folders; both halves of every pair must be there."""
    labels = _Places(root, description.label, description.folder(split))
    # In one folder, `{name}.*` would take `{name}_mask.png` for an image.
    no_images = set(labels.files.values())
    images = _Places(root, description.image, description.folder(split), no_images)
    for name, image in images.files.items():
        if name not in labels.files:
            raise UserError(
                f"{image} has no label {labels.path(name)}",
                where=str(root),
                hint="Add it or remove the image",
            )
    # Labels without an image mean that a copy broke off, so they stop as missing labels do.
    for name, label in labels.files.items():
        if name not in images.files:
            raise UserError(
                f"label {label} has no image", where=str(root), hint="Add it or remove the label"
            )
    wanted = [name for name in images.files if _in_split(description.val_fraction, name, split)]
    return [(images.files[name], labels.files[name]) for name in wanted]


def _in_split(val_fraction: float | None, name: str, split: str) -> bool:
    """Part by the name alone: images that are added later move no other."""
    if val_fraction is None:
        return True
    digest = hashlib.sha256(name.encode()).digest()
    is_val = int.from_bytes(digest[:8]) < val_fraction * 2**64
    return is_val == (split == "val")


class _Places:
    """Files that fit a pattern, by what stands for `{name}` in it."""

    def __init__(
        self, root: Path, pattern: str, folder: str, others: Collection[Path] = ()
    ) -> None:
        self._pattern = pattern.replace("{split}", folder)
        before, _, after = self._pattern.partition("{name}")
        self._any_suffix = after.endswith(".*")
        start = before.rpartition("/")[0]
        suffix = r"\.[A-Za-z]+" if self._any_suffix else ""
        shape = re.escape(before) + "(.+)" + re.escape(after.removesuffix(".*")) + suffix
        self.files: dict[str, Path] = {}
        for path in sorted((root / start).rglob("*")):
            relative = path.relative_to(root)
            match = re.fullmatch(shape, relative.as_posix())
            if not match or relative in others or _is_hidden(relative):
                continue
            if self._any_suffix and path.suffix.lower() not in _IMAGES:
                continue
            if match[1] in self.files:
                raise UserError(
                    f"{self.files[match[1]]} and {relative} have the same name",
                    where=str(root),
                    hint="Remove one of them",
                )
            self.files[match[1]] = relative

    def path(self, name: str) -> str:
        """Return the path that a file with this name would have."""
        return self._pattern.replace("{name}", name)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _listed(description: DatasetDescription, root: Path, split: str) -> list[Pair]:
    folder = description.folder(split)
    listing = root / (description.list or "").replace("{split}", folder)
    if not listing.is_file():
        raise UserError(f"there is no list {listing}", where=str(root), hint="Add it")
    pairs = []
    # A byte order mark is what some editors begin a text with.
    lines = listing.read_text("utf-8-sig", "surrogateescape").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        pair = _pair_of(description, root, folder, line.strip())
        _refuse_half(root, pair, f"{listing}, line {number}")
        if _in_split(description.val_fraction, pair[0].with_suffix("").as_posix(), split):
            pairs.append(pair)
    return pairs


def _refuse_half(root: Path, pair: Pair, where: str) -> None:
    for half in pair:
        if half.is_absolute() or ".." in half.parts:
            raise UserError(
                f"{half} is outside the data set",
                where=where,
                hint=f"Write names, or paths that are relative to {root}",
            )
        if not (root / half).is_file():
            raise UserError(f"there is no {half}", where=where, hint="Add it or remove the line")


def _pair_of(description: DatasetDescription, root: Path, folder: str, line: str) -> Pair:
    """Read a line of a list: paths of image and label, or the name of both."""
    if len(words := line.split()) == 2 and all(Path(word).suffix for word in words):
        return Path(words[0]), Path(words[1])
    suffix = Path(line).suffix.lower()
    name = line[: -len(suffix)] if suffix in _IMAGES else line
    image, label = (
        _with_suffix(root, pattern.replace("{split}", folder).replace("{name}", name))
        for pattern in (description.image, description.label)
    )
    return image, label


def _with_suffix(root: Path, path: str) -> Path:
    if not path.endswith(".*"):
        return Path(path)
    stem = path.removesuffix(".*")
    suffixes = [form for suffix in sorted(_IMAGES) for form in (suffix, suffix.upper())]
    there = [suffix for suffix in suffixes if (root / f"{stem}{suffix}").is_file()]
    return Path(stem + (there[0] if there else ".png"))

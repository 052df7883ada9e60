"""How each kind of data set lays out its files: pairs of an image and its label, per split."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from isnet.errors import UserError

__all__ = ["SPLITS", "Pair", "find_pairs", "find_root"]

SPLITS = ("train", "val")
_IMAGES = {".png", ".jpg", ".jpeg"}

Pair = tuple[Path, Path]
"""An image and its label file, both relative to the data set's folder."""


def find_root(kind: str, folder: Path) -> Path:
    """Return `folder`, or the one folder in it, that holds the data set (archives often add a
    level).

    Raises:
        UserError: neither does.
    """
    needed = {"camvid": ["train", "trainannot"]}.get(kind, ["leftImg8bit", "gtFine"])
    for candidate in [folder, *sorted(path for path in folder.glob("*") if path.is_dir())]:
        if all((candidate / name).is_dir() for name in needed):
            return candidate
    raise UserError(
        f"no folders {' and '.join(needed)} in {folder}",
        cure=f"Give a folder or archive that holds them, as {kind} is published",
    )


def find_pairs(kind: str, root: Path, split: str) -> list[Pair]:
    """List the image-label pairs of a split, sorted by image name.

    Raises:
        UserError: the split is empty, or an image or label has no partner; the first such file is
        named.
    """
    find: Callable[[Path, str], tuple[list[Path], Callable[[Path], Path]]]
    find = _camvid if kind == "camvid" else _cityscapes
    images, label_of = find(root, split)
    if not images:
        raise UserError(
            f"the split {split} has no images", where=str(root), cure="Complete the data set"
        )
    pairs = [(image, label_of(image)) for image in images]
    for image, label in pairs:
        if not (root / label).is_file():
            raise UserError(
                f"{image} has no label {label}", where=str(root), cure="Add it or remove the image"
            )
    _refuse_orphans(root, pairs)
    return pairs


def _refuse_orphans(root: Path, pairs: list[Pair]) -> None:
    """Labels without an image mean that a copy broke off, so they stop as missing labels do."""
    known = {label for _, label in pairs}
    for folder in {label.parent for label in known}:
        suffix = "_gtFine_labelIds.png" if "_gtFine" in next(iter(known)).name else ".png"
        for path in sorted((root / folder).glob(f"*{suffix}")):
            if path.relative_to(root) not in known:
                raise UserError(
                    f"label {path.relative_to(root)} has no image",
                    where=str(root),
                    cure="Add it or remove the label",
                )


def _cityscapes(root: Path, split: str) -> tuple[list[Path], Callable[[Path], Path]]:
    suffix = "_leftImg8bit.png"
    images = sorted((root / "leftImg8bit" / split).glob(f"*/*{suffix}"))

    def label_of(image: Path) -> Path:
        name = image.name.removesuffix(suffix) + "_gtFine_labelIds.png"
        return Path("gtFine") / split / image.parent.name / name

    return [path.relative_to(root) for path in images], label_of


def _camvid(root: Path, split: str) -> tuple[list[Path], Callable[[Path], Path]]:
    images = sorted(path for path in (root / split).glob("*") if path.suffix.lower() in _IMAGES)

    def label_of(image: Path) -> Path:
        return Path(f"{split}annot") / f"{image.stem}.png"

    return [path.relative_to(root) for path in images], label_of

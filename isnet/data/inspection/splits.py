"""Decides how the images of a folder are divided into train and val."""

import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.dataset_description import SHARED_FORMS
from isnet.data.catalog.image_label_pairs import SPLITS, Pair, find_pairs
from isnet.data.inspection.pairing import Pairing
from isnet.errors import UserError
from isnet.io.image_folder import files_below

_FRACTIONS = (0.2, 0.3, 0.4, 0.5)
_VAL_NAMES = ("val", "valid", "validation", "dev", "test", "testing")


class Division(NamedTuple):
    """Keys of a description that give files and splits, the pairs of each split, and the reason."""

    keys: dict[str, Any]
    pairs: dict[str, list[Pair]]
    why: str


def divide(root: Path, pairing: Pairing, val: str | None) -> Division:
    """Divide the pairs by their folders, by list files, or by a hash of their names.

    Args:
        root: the folder of the data set.
        pairing: the patterns of images and labels.
        val: name of the folder or list to validate on, or a fraction; None to find it.

    Raises:
        UserError: train has no counterpart, or the pairs are not complete.
    """
    fraction = float(val) if val and re.fullmatch(r"0?\.\d+", val) else None
    if fraction == 0:
        raise UserError("is 0", where="--val", hint="Write a fraction such as 0.2")
    keys: dict[str, Any] = {"image": pairing.image, "label": pairing.label}
    if pairing.form is not None:
        keys["label_form"] = pairing.form
    found = pairing.split_folders
    if len(found) > 1 and fraction is None:
        return _by_folders(root, keys, found, val)
    if found:  # all pairs are in one split's folder
        if len(found) > 1:
            where = ", ".join(found.values())
            hint = f"Write --val {found.get('val', found.get('test'))}"
            raise UserError(f"the paths divide the images ({where})", where="--val", hint=hint)
        word = next(iter(found.values()))
        keys = {key: pattern.replace("{split}", word) for key, pattern in keys.items()}
    elif fraction is None and pairing.form not in SHARED_FORMS:
        if division := _by_lists(root, keys, val):
            return division
    if val and fraction is None:
        hint = "Write a fraction such as 0.2"
        raise UserError(f"there is no folder or list {val}", where="--val", hint=hint)
    return _by_hash(root, keys, fraction)


def _by_folders(
    root: Path, keys: dict[str, Any], found: dict[str, str], val: str | None
) -> Division:
    words = list(found.values())
    if "train" not in found or (val and val not in words):
        what = f"the folders are {', '.join(words)}" + (f", and not {val}" if val else "")
        raise UserError(what, where=str(root), hint="Name one of them train, or give --val 0.2")
    if not val and "val" not in found:
        hint = f"Write --val {found['test']} to validate on it, and score no other data with it"
        raise UserError(f"has {' and '.join(words)}, but no val", where=str(root), hint=hint)
    chosen = {"train": found["train"], "val": val or found["val"]}
    if chosen != {"train": "train", "val": "val"}:
        keys = keys | {"splits": {split: {"folder": word} for split, word in chosen.items()}}
    what = "folders" if "{split}" in keys["image"] else "annotation files"
    why = f"{what} {chosen['train']} and {chosen['val']}"
    if unused := [word for word in words if word not in chosen.values()]:
        why += f" ({', '.join(unused)} is not used)"
    return Division(keys, _pairs(root, keys), why)


def _by_lists(root: Path, keys: dict[str, Any], val: str | None) -> Division | None:
    usable = []
    for train in (path for path in files_below(root) if path.name == "train.txt"):
        names = [val] if val else _VAL_NAMES
        there = [name for name in names if train.with_name(f"{name}.txt").is_file()]
        if not there:
            continue
        folder = PurePosixPath(train.relative_to(root)).parent
        more: dict[str, Any] = {"list": str(folder / "{split}.txt")}
        if there[0] != "val":
            more["splits"] = {"val": {"folder": there[0]}, "train": {"folder": "train"}}
        try:
            division = Division(keys | more, _pairs(root, keys | more), f"lists {more['list']}")
        except UserError:  # lists of something else, such as objects
            continue
        if there[0].startswith("test") and not val:
            hint = f"Write --val {there[0]} to validate on it, or --val 0.2 to use no lists"
            what = f"the lists {folder}/*.txt are train and {there[0]}, but no val"
            raise UserError(what, where=str(root), hint=hint)
        usable.append(division)
    several = [each for each in usable if "Segmentation" in each.keys["list"]] or usable
    if len(several) > 1:
        lists = ", ".join(each.keys["list"] for each in several)
        hint = "Write --val 0.2 to use none, or remove the others"
        raise UserError(f"several lists divide the images: {lists}", where=str(root), hint=hint)
    return several[0] if several else None


def _by_hash(root: Path, keys: dict[str, Any], fraction: float | None) -> Division:
    for share in (fraction,) if fraction else _FRACTIONS:
        more = keys | {"val_fraction": share}
        try:
            pairs = _pairs(root, more)
        except UserError as error:
            if "has no images" not in str(error):
                raise
            continue
        count = len(pairs["val"])
        total = count + len(pairs["train"])
        why = f"val_fraction {share}, by the hash of each name: {count} of {total} become val"
        return Division(more, pairs, why)
    hint = "Give another fraction by --val, or add images"
    raise UserError("the hash of the names leaves train or val empty", where=str(root), hint=hint)


def _pairs(root: Path, keys: dict[str, Any]) -> dict[str, list[Pair]]:
    return {split: find_pairs(describe(keys), root, split) for split in SPLITS}


def describe(keys: dict[str, Any]) -> DatasetDescription:
    """Return a description of files and splits whose classes are not known yet."""
    return DatasetDescription.model_validate({**keys, "classes": ["any", "other"]})

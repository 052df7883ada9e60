"""Decides how the images of a folder are divided into train and val."""

import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.dataset_description import SHARED_FORMS
from isnet.data.catalog.image_label_pairs import SPLITS, Pair, find_pairs
from isnet.data.inspection.pairing import SPLIT_WORDS, Pairing
from isnet.errors import UserError
from isnet.images.image_folder import files_below

_FRACTION = 0.2
_VAL_NAMES = (*SPLIT_WORDS["val"], *SPLIT_WORDS["test"])


class Division(NamedTuple):
    """Keys of a description that give files and splits, the pairs of each split, and the reason."""

    keys: dict[str, Any]
    pairs: dict[str, list[Pair]]
    why: str


def divide(root: Path, pairing: Pairing, val: str | None) -> Division:
    """Divide the pairs by their folders, by list files, or by a hash of their names.

    `val` is the name of the folder or list to validate on, or a fraction; None to find it.

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
    passed: list[str] = []
    if not found and fraction is None and pairing.form not in SHARED_FORMS:
        if division := _by_lists(root, keys, val, passed):
            return division
    if val and fraction is None:
        if passed:
            raise UserError(passed[0], where="--val", hint="Correct the list, or write --val 0.2")
        hint = "Write a fraction such as 0.2"
        raise UserError(f"there is no folder or list {val}", where="--val", hint=hint)
    keys["val_fraction"] = fraction or _FRACTION
    pairs = _pairs(root, keys)
    counts = f"{len(pairs['val'])} of {sum(map(len, pairs.values()))} become val"
    why = f"val_fraction {keys['val_fraction']}, by the hash of each name: {counts}"
    return Division(keys, pairs, "; ".join([why, *passed]))


def _by_folders(
    root: Path, keys: dict[str, Any], found: dict[str, str], val: str | None
) -> Division:
    words = list(found.values())
    if "train" not in found:
        what = f"the folders are {', '.join(words)}, and none is train"
        raise UserError(what, where=str(root), hint="Rename the one to train on to train")
    if val and val not in words:
        what = f"the folders are {', '.join(words)}, and not {val}"
        raise UserError(what, where=str(root), hint=f"Write --val {words[-1]}")
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


def _by_lists(
    root: Path, keys: dict[str, Any], val: str | None, passed: list[str]
) -> Division | None:
    """Return the division by the list files; add to `passed` why others are not used."""
    usable = []
    for train in (path for path in files_below(root) if path.name == "train.txt"):
        names = [val.removesuffix(".txt")] if val else _VAL_NAMES
        there = [name for name in names if (train.parent / f"{name}.txt").is_file()]
        if not there:
            continue
        folder = PurePosixPath(train.relative_to(root)).parent
        more: dict[str, Any] = {"list": str(folder / "{split}.txt")}
        if there[0] != "val":
            more["splits"] = {"val": {"folder": there[0]}, "train": {"folder": "train"}}
        try:
            division = Division(keys | more, _pairs(root, keys | more), f"lists {more['list']}")
        except UserError as error:  # lists of something else, such as objects, or incomplete ones
            passed.append(f"{more['list']} is passed over: {error}")
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


def _pairs(root: Path, keys: dict[str, Any]) -> dict[str, list[Pair]]:
    return {split: find_pairs(describe(keys), root, split) for split in SPLITS}


def describe(keys: dict[str, Any]) -> DatasetDescription:
    """Return a description of files and splits whose classes are not known yet."""
    return DatasetDescription.model_validate({**keys, "classes": ["any", "other"]})

"""How `isnet init` divides the images of a folder, and what it says of what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from isnet.data.inspection.pairing import Pairing
from isnet.data.inspection.splits import Division, divide
from isnet.errors import UserError

PAIRING = Pairing("images/{name}.png", "masks/{name}.png", {})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four images and their masks."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in "abcd":
            Image.new("L", (4, 4)).save(tmp_path / folder / f"{name}.png")
    return tmp_path


def _divide_by_lists(root: Path, val_list: str, val: str | None) -> Division:
    (root / "train.txt").write_text("a\nb\n")
    (root / "val.txt").write_text(val_list)
    return divide(root, PAIRING, val)


@pytest.mark.parametrize("val", [None, "val", "val.txt"])
def test_lists_are_named_with_or_without_their_extension(root: Path, val: str | None) -> None:
    division = _divide_by_lists(root, "c\nd\n", val)
    assert division.keys["list"] == "{split}.txt"
    assert [len(division.pairs[split]) for split in ("train", "val")] == [2, 2]


def test_a_list_with_a_missing_image_is_passed_over_with_the_reason(root: Path) -> None:
    division = _divide_by_lists(root, "c\nx\n", None)
    assert division.keys["val_fraction"] == 0.2
    assert "{split}.txt is passed over: " in division.why and "line 2" in division.why
    with pytest.raises(UserError, match=r"line 2.*Correct the list, or write --val 0.2"):
        _divide_by_lists(root, "c\nx\n", "val")


def test_a_path_is_no_list(root: Path) -> None:
    with pytest.raises(UserError, match="there is no folder or list lists/val"):
        _divide_by_lists(root, "c\nd\n", "lists/val")


def test_folders_without_train_are_not_told_to_give_a_fraction(root: Path) -> None:
    pairing = Pairing(
        "{split}/{name}.png", "masks/{split}/{name}.png", {"val": "val", "test": "test"}
    )
    with pytest.raises(UserError, match=r"none is train. Rename the one to train on to train"):
        divide(root, pairing, None)


def test_a_single_image_cannot_be_divided(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / folder / "a.png")
    with pytest.raises(UserError, match=r"the split val has no images. Complete the data set"):
        divide(tmp_path, PAIRING, None)

"""Which image belongs to which label: folders, lists, shares; and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isnet.data.catalog import DatasetDescription
from isnet.data.catalog.image_label_pairs import SPLITS, find_pairs
from isnet.errors import UserError

FOLDERS = {"image": "images/{split}/{name}.*", "label": "masks/{split}/{name}.png"}
ONE_FOLDER = {"image": "images/{name}.*", "label": "masks/{name}.png"}


def _description(**keys: Any) -> DatasetDescription:
    return DatasetDescription(**({"classes": ["a", "b"]} | keys))


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def _pairs(description: DatasetDescription, root: Path, split: str) -> list[tuple[str, str]]:
    return [(str(image), str(label)) for image, label in find_pairs(description, root, split)]


def test_folders_below_the_pattern_are_part_of_the_name(tmp_path: Path) -> None:
    _touch(tmp_path, "images/train/b/1.jpg", "images/train/a/1.PNG", "images/train/a/Thumbs.db")
    _touch(tmp_path, "masks/train/a/1.png", "masks/train/b/1.png")
    assert _pairs(_description(**FOLDERS), tmp_path, "train") == [
        ("images/train/a/1.PNG", "masks/train/a/1.png"),
        ("images/train/b/1.jpg", "masks/train/b/1.png"),
    ]


def test_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    _touch(tmp_path, "images/train/1.jpg", "images/train/._1.jpg", "masks/train/1.png")
    _touch(tmp_path, "images/train/.ipynb_checkpoints/1-checkpoint.jpg")
    assert len(_pairs(_description(**FOLDERS), tmp_path, "train")) == 1


def test_images_and_labels_may_lie_together(tmp_path: Path) -> None:
    _touch(tmp_path, "train/1.png", "train/1_mask.png", "val/2.png", "val/2_mask.png")
    together = _description(image="{split}/{name}.*", label="{split}/{name}_mask.png")
    assert _pairs(together, tmp_path, "val") == [("val/2.png", "val/2_mask.png")]


def test_a_name_that_no_manifest_can_hold_is_told(tmp_path: Path) -> None:
    name = os.fsdecode(b"stra\xdfe")  # Latin-1, as old archives have it
    _touch(tmp_path, f"images/train/{name}.jpg", f"masks/train/{name}.png")
    with pytest.raises(UserError, match=r"stra\\udcdfe\.jpg' is not UTF-8\. Rename"):
        find_pairs(_description(**FOLDERS), tmp_path, "train")


def test_the_share_for_val_depends_on_the_name_alone(tmp_path: Path) -> None:
    def split(count: int) -> dict[str, set[str]]:
        for index in range(count):
            _touch(tmp_path, f"images/{index}.jpg", f"masks/{index}.png")
        description = _description(**ONE_FOLDER, val_fraction=0.25)
        return {one: {image for image, _ in _pairs(description, tmp_path, one)} for one in SPLITS}

    few, many = split(40), split(200)
    for one in SPLITS:
        assert few[one] < many[one]
    assert not many["train"] & many["val"]
    assert len(many["train"] | many["val"]) == 200
    assert 30 < len(many["val"]) < 70


@pytest.mark.parametrize(
    "line", ["a/1", "a/1.jpg", "images/a/1.JPG masks/a/1.png", "./images/a/1.JPG\tmasks/a/1.png"]
)
def test_a_list_has_names_or_both_paths(line: str, tmp_path: Path) -> None:
    _touch(tmp_path, "images/a/1.JPG", "masks/a/1.png", "images/a/unlisted.jpg")
    (tmp_path / "train.txt").write_text(f"\ufeff{line}\r\n\r\n")
    listed = _description(**ONE_FOLDER, list="{split}.txt")
    assert _pairs(listed, tmp_path, "train") == [("images/a/1.JPG", "masks/a/1.png")]


def test_one_list_is_parted_by_a_share(tmp_path: Path) -> None:
    names = [f"{index}" for index in range(30)]
    for name in names:
        _touch(tmp_path, f"images/{name}.jpg", f"masks/{name}.png")
    (tmp_path / "all.txt").write_text("\n".join(names))
    listed = _description(**ONE_FOLDER, list="all.txt", val_fraction=0.3)
    train, val = ({image for image, _ in _pairs(listed, tmp_path, split)} for split in SPLITS)
    assert len(train | val) == 30
    assert train and val and not train & val


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_share_gives_at_least_one_image_to_each_split(
    share: float, count: int, tmp_path: Path
) -> None:
    for index in range(count):
        _touch(tmp_path, f"images/{index}.jpg", f"masks/{index}.png")
    description = _description(**ONE_FOLDER, val_fraction=share)
    sizes = [len(find_pairs(description, tmp_path, split)) for split in SPLITS]
    assert sorted(sizes) == [1, count - 1]


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("group", ["{name:.8}", "{group}_*"])
def test_all_images_of_a_group_are_in_one_split(group: str, listed: bool, tmp_path: Path) -> None:
    names = [f"child{child:03}_{eye}" for child in range(20) for eye in "LR"]
    for name in names:
        _touch(tmp_path, f"images/{name}.jpg", f"masks/{name}.png")
    keys = {"list": "all.txt"} if listed else {}
    (tmp_path / "all.txt").write_text("\n".join(names))
    description = _description(**ONE_FOLDER, **keys, val_fraction=0.3, group=group)
    train, val = (
        {image[len("images/") :][:8] for image, _ in _pairs(description, tmp_path, split)}
        for split in SPLITS
    )
    assert len(train | val) == 20
    assert train and val and not train & val


def test_a_name_that_fits_no_group_is_told(tmp_path: Path) -> None:
    _touch(tmp_path, "images/1-left.jpg", "masks/1-left.png")
    description = _description(**ONE_FOLDER, val_fraction=0.3, group="{group}_*")
    with pytest.raises(UserError, match=r"the name 1-left does not fit `group: '\{group\}_\*'`"):
        find_pairs(description, tmp_path, "train")


def test_one_group_of_all_images_is_told(tmp_path: Path) -> None:
    for name in ("a1", "a2"):
        _touch(tmp_path, f"images/{name}.jpg", f"masks/{name}.png")
    description = _description(**ONE_FOLDER, val_fraction=0.3, group="{name:.1}")
    with pytest.raises(UserError, match=r"`group: '\{name:\.1\}'`, which makes one group of all"):
        [find_pairs(description, tmp_path, split) for split in SPLITS]


@pytest.mark.parametrize(
    "line",
    [
        "a b/1 2",
        "a b/1 2.jpg",
        "images/a b/1 2.jpg masks/a b/1 2.png",
        "images/a b/1 2.jpg\tmasks/a b/1 2.png",
        "images/a b/1 2.jpg \t masks/a b/1 2.png",
        "images/a b/1 2.jpg    masks/a b/1 2.png  ",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_list_may_have_names_with_spaces(
    line: str, encoding: str, end: str, tmp_path: Path
) -> None:
    _touch(tmp_path, "images/a b/1 2.jpg", "masks/a b/1 2.png", "images/c.jpg", "masks/c.png")
    (tmp_path / "train.txt").write_bytes(f"{line}{end}{end}c{end}".encode(encoding))
    listed = _description(**ONE_FOLDER, list="{split}.txt")
    assert _pairs(listed, tmp_path, "train") == [
        ("images/a b/1 2.jpg", "masks/a b/1 2.png"),
        ("images/c.jpg", "masks/c.png"),
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [("images/c.jpg\tmasks/no 1.png", "no masks/no 1.png"), ("no 1.jpg", "no images/no 1.png")],
)
def test_a_listed_file_that_is_missing_is_told(line: str, told: str, tmp_path: Path) -> None:
    _touch(tmp_path, "images/c.jpg", "masks/c.png")
    (tmp_path / "train.txt").write_text(line)
    with pytest.raises(UserError, match=rf"train\.txt, line 1: there is {told}"):
        find_pairs(_description(**ONE_FOLDER, list="{split}.txt"), tmp_path, "train")


def _remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_remove("masks/train/1.png"), "images/train/1.jpg has no label masks/train/1.png. Add it"),
        (_remove("images/train/1.jpg"), "label masks/train/1.png has no image. Add it or remove"),
        (
            lambda root: _touch(root, "images/train/1.bmp"),
            "images/train/1.bmp and images/train/1.jpg have the same name. Remove one",
        ),
        (
            lambda root: [path.unlink() for path in root.rglob("1.*")],
            "the split train has no images. Complete the data set",
        ),
    ],
)
def test_what_is_wrong_with_folders_is_told(
    spoil: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    _touch(tmp_path, "images/train/1.jpg", "masks/train/1.png")
    spoil(tmp_path)
    with pytest.raises(UserError) as raised:
        find_pairs(_description(**FOLDERS), tmp_path, "train")
    assert f"{tmp_path}: {told}" in str(raised.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1\n2", "train.txt, line 2: there is no images/2.png. Add it or remove the line"),
        ("images/1.jpg masks/3.png", "train.txt, line 1: there is no masks/3.png. Add it"),
        ("../1.jpg masks/1.png", "train.txt, line 1: ../1.jpg is outside the data set. Write"),
        ("/SegNet/1.jpg /SegNet/1.png", "line 1: /SegNet/1.jpg is outside the data set. Write"),
        ("", "the split train has no images"),
    ],
)
def test_what_is_wrong_with_a_list_is_told(line: str, told: str, tmp_path: Path) -> None:
    _touch(tmp_path, "images/1.jpg", "masks/1.png")
    (tmp_path / "train.txt").write_text(line)
    with pytest.raises(UserError) as raised:
        find_pairs(_description(**ONE_FOLDER, list="{split}.txt"), tmp_path, "train")
    assert told in str(raised.value)


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no list .*val\.txt\. Add it"):
        find_pairs(_description(**ONE_FOLDER, list="{split}.txt"), tmp_path, "val")

"""Images and groups that are in train and in val."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_data import OwnData
from PIL import Image

IDS = np.tile(np.arange(4, dtype=np.uint8), (16, 6))


def _picture(seed: int) -> Image.Image:
    """Return an image of 160x120 with smooth shapes."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def _own(root: Path, train: str = "a", val: str = "b", **keys: Any) -> OwnData:
    own = OwnData(root, **keys)
    for seed, (split, name) in enumerate((("train", train), ("train", "other"), ("val", val))):
        own.write(split, name, IDS)
        _picture(seed).resize((24, 16)).save(own.image(split, name))
    return own


def _warnings(own: OwnData) -> list[str]:
    own.convert()
    return [message for message in own.messages if message.startswith("warning: ")]


def test_equal_files_in_both_splits_are_a_warning(tmp_path: Path) -> None:
    own = _own(tmp_path)
    shutil.copy(own.image("train", "a"), own.image("val", "b"))
    assert _warnings(own) == [
        "warning: val has 1 files of train (images/train/a.png = images/val/b.png): "
        "scores will be too high"
    ]


@pytest.mark.parametrize("change", ["quality", "size", "light"])
def test_a_near_duplicate_is_a_warning(change: str, tmp_path: Path) -> None:
    own = OwnData(tmp_path, image="images/{split}/{name}.*")
    ids = {size: np.resize(IDS, size) for size in ((120, 160), (60, 80))}
    for split, name, size in (("train", "a", (120, 160)), ("val", "b", (120, 160))):
        own.write(split, name, ids[size])
        own.image(split, name).unlink()
    _picture(0).save(own.image("train", "a", ".png"))
    picture = _picture(0)
    if change == "size":
        own.write("val", "b", ids[60, 80])
        own.image("val", "b").unlink()
        picture = picture.resize((80, 60))
    if change == "light":
        picture = picture.point(lambda value: round(value * 0.9))
    picture.save(own.image("val", "b", ".jpg"), quality=50)
    assert _warnings(own) == [
        "warning: val has 1 images that look like one of train (images/train/a.png = "
        "images/val/b.jpg): if they show the same, scores will be too high"
    ]


def test_different_and_flat_images_are_no_leak(tmp_path: Path) -> None:
    own = _own(tmp_path)
    for number, split in enumerate(("train", "val")):
        own.write(split, "flat", IDS)
        Image.new("RGB", (24, 16), (number, 9, 9)).save(own.image(split, "flat"))
    assert _warnings(own) == []


def test_a_group_in_both_splits_is_a_warning(tmp_path: Path) -> None:
    own = _own(tmp_path, "child1_L", "child1_R", group="{group}_*")
    own.image("train", "other").rename(own.image("train", "child2_L"))
    own.label("train", "other").rename(own.label("train", "child2_L"))
    assert _warnings(own) == [
        "warning: 1 groups are in train and in val, such as child1",
    ]


def test_the_share_that_val_really_takes_is_told(tmp_path: Path) -> None:
    paths = {"image": "images/{name}.png", "label": "masks/{name}.png"}
    own = OwnData(tmp_path, **paths, val_fraction=0.01)
    for number in range(4):
        for folder in ("images", "masks"):
            (own.raw / folder).mkdir(parents=True, exist_ok=True)
        _picture(number).resize((24, 16)).save(own.raw / f"images/{number}.png")
        Image.fromarray(IDS).save(own.raw / f"masks/{number}.png")
    own.convert()
    assert own.messages == ["val has 1 of 4 images (25.0%; val_fraction is 0.01)"]

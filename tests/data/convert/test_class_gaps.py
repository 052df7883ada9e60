"""Classes that labels lack: what stops a conversion, and what it warns of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_data import OwnData
from PIL import Image

from isnet.data.catalog import read_published
from isnet.data.catalog.label_table import build_label_table
from isnet.data.convert.dataset_warnings import find_class_gaps
from isnet.errors import UserError
from isnet.records.dataset_records import Census, SplitCounts


def _own(root: Path, train: list[int], val: list[int], **keys: Any) -> OwnData:
    """Make a data set whose labels have these ids, each in 24 pixels."""
    own = OwnData(root, **keys)
    for split, ids in (("train", train), ("val", val)):
        own.write(split, "one", np.repeat(np.array(ids, np.uint8)[:, None], 24, 1))
        colour = "red" if split == "train" else "blue"  # equal images are another warning
        Image.new("RGB", (24, len(ids)), colour).save(own.image(split, "one"))
    return own


def test_a_mask_of_0_and_255_whose_foreground_is_ignored_stops(tmp_path: Path) -> None:
    own = _own(tmp_path, [0, 0, 0, 255], [0, 255], ignore=[255])
    with pytest.raises(UserError) as raised:
        own.convert()
    assert str(raised.value) == (
        "datasets/own.yaml: no label has cat, dog, and the ignored value 255 has 33.3% of the "
        "pixels; only ground is left to learn. If such pixels are of a class, take the value out "
        "of `ignore` and give it to the class: `{name: cat, id: 255}`"
    )


def test_an_ignored_colour_is_shown_as_one_writes_it(tmp_path: Path) -> None:
    own = OwnData(tmp_path, "colors")
    for split in ("train", "val"):
        own.write(split, "one", np.array([[0, 3]], np.uint8))
    with pytest.raises(UserError, match=r"\(border\).*`\{name: cat, color: \[255, 255, 255\]\}`"):
        own.convert()


@pytest.mark.parametrize(
    ("train", "val", "warning"),
    [
        ([0, 1, 3], [0, 1], "no label has dog, and the ignored value 3 (border) has 20.0% of the pixels. If such"),
        ([0, 1], [0, 1], "no label has dog"),
        ([0], [0], "no label has cat, dog"),
        ([0, 1], [0, 1, 2], "train has no dog, which val has: it cannot be learned"),
        ([0, 1, 2], [0, 1], "val has no dog, which train has: it is not scored"),
        ([0, 1, 2], [3], "no label of val has a class: runs on this data set have no score"),
    ],
)  # fmt: skip
def test_a_gap_is_a_warning(train: list[int], val: list[int], warning: str, tmp_path: Path) -> None:
    own = _own(tmp_path, train, val)
    own.convert()
    (message,) = own.messages
    assert message.startswith(f"warning: {warning}")


def test_train_without_a_labelled_pixel_stops(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no label of train has a class: the ignored value 3"):
        _own(tmp_path, [3, 3], [0, 1, 2]).convert()


def test_a_class_that_is_never_annotated_is_no_gap(tmp_path: Path) -> None:
    classes = ["ground", "cat", {"name": "dog", "never_annotated": True}]
    own = _own(tmp_path, [0, 1], [0, 1], classes=classes)
    own.convert()
    assert own.messages == []


def test_classes_of_all_labels_are_silent(tmp_path: Path) -> None:
    own = _own(tmp_path, [0, 1, 2, 3], [0, 1, 2])
    own.convert()
    assert own.messages == []


def test_the_ignored_values_of_a_published_set_are_not_questioned() -> None:
    table = build_label_table(read_published("camvid"), "camvid", never_annotated=True)
    pixels = [0, *[5] * (len(table.classes) - 1)]
    split = SplitCounts(images=1, pixels=pixels, ignored_pixels=99, images_with_class=[], sizes={})
    census = Census(classes=[*table.classes], palette=[], splits={"train": split, "val": split})
    gaps = find_class_gaps(census, read_published("camvid"), "camvid")
    assert gaps == [f"no label has {table.classes[0]}"]

"""Which classes the values of labels and the files of tools give."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from isnet.data.catalog.dataset_description import LabelForm
from isnet.data.catalog.label_table import voc_color
from isnet.data.inspection.class_list import decide_classes
from isnet.data.inspection.class_names import find_names
from isnet.data.inspection.label_values import LabelValues
from isnet.errors import UserError

PALETTE = [voc_color(index) for index in range(256)]


def decide(
    seen: list[int],
    root: Path | None = None,
    form: LabelForm = "ids",
    ignore: tuple[str, ...] = (),
    is_voc: bool = False,
    no_data: tuple[int, ...] = (),
) -> tuple[dict[int, str], list[int]]:
    palette = PALETTE if form == "palette" else []
    values = LabelValues(form, Counter(seen), Counter(), palette, no_data=no_data)
    names = find_names(root, None) if root else None
    found = decide_classes(values, names, ignore, is_voc=is_voc)
    return {value: row["name"] for value, row in found.classes.items()}, found.ignore


RED, BLUE = 255 << 16, 255


@pytest.mark.parametrize(
    ("file", "text", "form", "seen", "classes"),
    [
        ("classes.txt", "sky\nroad\n", "ids", [0, 1], {0: "sky", 1: "road"}),
        ("classes.txt", "sky\r\nroad\r\n", "ids", [1, 2], {1: "sky", 2: "road"}),
        ("classes.txt", "3 sky\n7 road\n", "ids", [3], {3: "sky", 7: "road"}),
        ("labels.txt", "__ignore__\n_background_\ncar", "palette", [0, 1, 255],
         {0: "_background_", 1: "car"}),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nsky:255,0,0::\nsea:0,0,255::\n",
         "colors", [RED, BLUE], {RED: "sky", BLUE: "sea"}),
        ("labelmap.txt", "background:0,0,0::\nsky:0,128,0::\n", "palette", [0, 2],
         {0: "background", 2: "sky"}),
        ("label_colors.txt", "255 0 0\tSky\n0 0 255\tSea side\n", "colors", [RED],
         {RED: "Sky", BLUE: "Sea side"}),
        ("class_dict.csv", "name,r,g,b\nsky,255,0,0\nsea,0,0,255\n", "colors", [RED],
         {RED: "sky", BLUE: "sea"}),
        ("_classes.csv", "Pixel Value, Class\n0, background\n2, cat\n", "ids", [0, 2],
         {0: "background", 2: "cat"}),
        ("dataset.json", '{"labels": {"background": 0, "liver": 1}}', "ids", [0, 1],
         {0: "background", 1: "liver"}),
        ("dataset.json", '{"labels": {"0": "background", "1": "liver"}}', "ids", [0, 1],
         {0: "background", 1: "liver"}),
    ],
)  # fmt: skip
def test_names_are_read_from_what_tools_leave(
    tmp_path: Path,
    file: str,
    text: str,
    form: LabelForm,
    seen: list[int],
    classes: dict[int, str],
) -> None:
    (tmp_path / file).write_text(text)
    assert decide(seen, tmp_path, form)[0] == classes


def test_a_mask_of_0_and_255_is_not_ignored_but_for_its_background(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("background\ncat\ndog\n")
    with pytest.raises(UserError, match=r"nothing would be learned. .* --ignore 255"):
        decide([0, 255], tmp_path)
    (tmp_path / "classes.txt").write_text("background\ncat\n")
    assert decide([0, 255], tmp_path) == ({0: "background", 255: "cat"}, [])


def test_files_that_disagree_are_refused(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("a\nb")
    (tmp_path / "labels.txt").write_text("a\nc")
    with pytest.raises(UserError, match=r"name different classes. Choose one by --names"):
        decide([0, 1], tmp_path)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"seen": [0, 255]}, ({0: "background", 255: "object"}, [])),
        ({"seen": [0, 1, 255]}, ({0: "class_0", 1: "class_1"}, [255])),
        ({"seen": [0, 1, 255], "ignore": ("0",)}, ({1: "class_1", 255: "class_255"}, [0])),
        ({"seen": [0, 1, 2], "no_data": (0, 9)}, ({1: "class_1", 2: "class_2"}, [0])),
        ({"seen": [0, 1, 2, 255], "no_data": (0,)}, ({1: "class_1", 2: "class_2"}, [255, 0])),
        ({"seen": [0, 1, 2], "no_data": (0,), "ignore": ("2",)},
         ({0: "class_0", 1: "class_1"}, [2])),
        ({"seen": [0, 255], "no_data": (0,)}, ({0: "background", 255: "object"}, [])),
        ({"seen": [0, RED, BLUE], "form": "colors", "ignore": ("0,0,0",)},
         ({BLUE: "color_0_0_255", RED: "color_255_0_0"}, [0])),
    ],
)  # fmt: skip
def test_without_names_the_values_decide(keys: Any, expected: Any) -> None:
    assert decide(**keys) == expected


def test_a_no_data_value_that_is_a_class_is_told() -> None:
    values = LabelValues("ids", Counter([0, 255]), Counter(), [], no_data=(0, 7))
    why = decide_classes(values, None, (), is_voc=False).why
    assert "0, GDAL's no-data value, is a class; else write --ignore 0" in why


def test_the_names_of_voc_need_its_folders_and_its_palette() -> None:
    classes, ignore = decide([0, 8, 255], form="palette", is_voc=True)
    assert (len(classes), classes[8], ignore) == (21, "cat", [255])
    assert decide([0, 8], form="palette")[0] == {0: "class_0", 8: "class_8"}


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        ([0, 1, 5], r"labels have 5, which .*classes.txt does not name. .* --ignore 5"),
        ([0, 300], r"labels have 300"),
    ],
)
def test_a_value_without_a_name_is_refused(tmp_path: Path, seen: list[int], message: str) -> None:
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=message):
        decide(seen, tmp_path)


def test_colours_of_blurred_edges_and_a_single_value_are_refused() -> None:
    with pytest.raises(UserError, match="the labels have 100 colours"):
        decide(list(range(100)), form="colors")
    with pytest.raises(UserError, match=r"the labels have 1 class, .* folder of the labels"):
        decide([0])
    with pytest.raises(UserError, match=r"the labels have 1 class, .* Ignore fewer"):
        decide([0, 1], ignore=("0",))
    with pytest.raises(UserError, match=r"--ignore: no label has 7"):
        decide([0, 1, 2], ignore=("7",))


def test_the_advice_for_one_value_beside_unlabelled_pixels_can_be_followed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"have 0 beside one other value: .* `0 NAME`$"):
        decide([0, 1], no_data=(0,))
    (tmp_path / "classes.txt").write_text("1 a\n2 b\n")
    with pytest.raises(UserError, match=r"`255 NAME`, or write --ignore 255$"):
        decide([1, 255], tmp_path)
    assert decide([1, 255], tmp_path, ignore=("255",))[0] == {1: "a", 2: "b"}

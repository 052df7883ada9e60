"""Descriptions of data sets: what they may leave out, and what they are refused for."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import REPOSITORY

from isnet.data.catalog import IGNORE, DatasetDescription, read_published
from isnet.data.catalog.dataset_description import read_description
from isnet.data.catalog.label_table import build_label_table
from isnet.errors import UserError
from isnet.settings.dataset_lookup import table_of
from isnet.settings.params import FolderDataset

SMALL = """\
image: images/{split}/{name}.*
label: masks/{split}/{name}.png
classes: [ground, cat]
"""
COLORED = SMALL.replace(
    "[ground, cat]", "[{name: a, color: [0, 0, 9]}, {name: b, color: [1, 2, 3]}]"
)
COCO = """\
image: images/{name}.*
label: "{split}.json"
label_form: coco
classes: [ground, cat]
"""


def _read(tmp_path: Path, text: str) -> DatasetDescription:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return read_description(path)


def test_a_class_without_an_id_has_its_place(tmp_path: Path) -> None:
    table = build_label_table(_read(tmp_path, SMALL), "own.yaml", never_annotated=True)
    assert table.train_id == {0: 0, 1: 1}
    assert table.classes == ("ground", "cat")
    assert len(set(table.palette)) == 2
    assert (table.form, table.flip_pairs) == ("ids", ())


def test_colors_are_numbers_of_three_bytes(tmp_path: Path) -> None:
    text = f"{COLORED}label_form: colors\nignore: [[255, 0, 1]]\n"
    table = build_label_table(_read(tmp_path, text), "own.yaml", never_annotated=True)
    assert table.train_id == {9: 0, 0x010203: 1, 0xFF0001: IGNORE}
    assert table.palette == ((0, 0, 9), (1, 2, 3))


def test_all_that_decides_a_label_decides_the_digest(tmp_path: Path) -> None:
    texts = [
        SMALL,
        SMALL + "ignore: [255]\n",
        SMALL + "left_right: [[ground, cat]]\n",
        SMALL + "label_form: palette\n",
        SMALL.replace("[ground, cat]", "[cat, ground]"),
    ]
    tables = [build_label_table(_read(tmp_path, text), "x", never_annotated=True) for text in texts]
    assert len({table.digest for table in tables}) == len(texts)


def test_categories_of_annotations_are_found_by_name(tmp_path: Path) -> None:
    text = f"{COCO}unlabelled: ground\nignore: [dog]\n"
    tables = [
        build_label_table(_read(tmp_path, each), "own.yaml", never_annotated=True)
        for each in (text, COCO, text.replace("dog", "bird"), text.replace("coco", "cvat"))
    ]
    assert tables[0].categories == {"ground": 0, "cat": 1, "dog": IGNORE}
    assert tables[0].train_id == {0: 0, 1: 1, IGNORE: IGNORE}
    assert [table.unlabelled for table in tables] == [0, IGNORE, 0, 0]
    assert len({table.digest for table in tables}) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SMALL.replace("{name}.png", "all.png"), "label has no {name}"),
        (SMALL.replace("cat", "ground"), "there are two classes 'ground'"),
        (SMALL.replace("/{split}", ""), "train and val need {split} in image or list"),
        (SMALL + "val_fraction: 0.1\n", "val_fraction is only possible without {split}"),
        (SMALL + "left_right: [[cat, dog]]\n", "left_right has 'dog', which is not a class"),
        (SMALL + "ignore: [1]\n", "1 stands for two classes, or is ignored too"),
        (SMALL + "ignore: [[1, 2, 3]]\n", "is (1, 2, 3), but labels are ids"),
        (SMALL + "label_form: colors\n", "the class 'ground' needs a color"),
        (COLORED + "label_form: colors\nignore: [7]\n", "ignore: 7 is 7, but labels are colors"),
        (SMALL + "label_form: jpeg\n", "label_form"),
        (
            SMALL + "tolerance: 9\nlabel_form: palette\n",
            "tolerance is for ids and colors, but labels are palette",
        ),
        (SMALL + "group: patient\n", "group is 'patient': write the part"),
        (SMALL + "group: '{name}'\n", "group is '{name}': write the part"),
        (SMALL + "group: '{name.real}'\n", "or its number of letters, as in '{name:.8}'"),
        (SMALL + "group: '{group}{name}'\n", "group is '{group}{name}': write the part"),
        (SMALL + "labels: x\n", "Did you mean 'label'?"),
        (SMALL + "splits: {train: {}}\n", "splits must be train and val"),
        (SMALL.replace("[ground, cat]", "[ground]"), "classes"),
        (SMALL.replace("cat", "{name: cat, id: 70000}"), "classes.1.id"),
        ("[", "not valid YAML"),
        (SMALL + "unlabelled: cat\n", "unlabelled is for annotations, but labels are ids"),
        (SMALL + "ignore: [dog]\n", "ignore: dog is 'dog', but labels are ids"),
        (COCO + "unlabelled: dog\n", "unlabelled is 'dog', which is not a class"),
        (COCO + "ignore: [255]\n", "ignore: 255 is 255, but labels are coco"),
        (COCO + "ignore: [cat]\n", "cat stands for two classes, or is ignored too"),
        (COCO + "list: a.txt\n", "the annotation file lists the images"),
        (COCO.replace("cat", "{name: cat, id: 3}"), "'cat' has an id, but coco has classes by"),
        (COCO.replace("{split}.json", "{name}.json"), "one coco file has the labels of many"),
        (COCO.replace("{split}", "all"), "train and val need {split} in image or label"),
        (
            COCO.replace("{split}", "all").replace("images", "images/{split}"),
            "label needs {split} too, as a coco file does not say the split",
        ),
    ],
)
def test_a_wrong_description_is_one_line_with_the_file(
    text: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as raised:
        _read(tmp_path, text)
    assert told in str(raised.value)
    assert str(tmp_path / "own.yaml") in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("datasets/none.yaml", "there is no datasets/none.yaml. Found: datasets/own.yaml"),
        ("own.yaml", "own.yaml is outside datasets/"),
        ("datasets/../own.yaml", "is outside datasets/"),
        ("/tmp/own.yaml", "/tmp/own.yaml is outside datasets/"),
    ],
)
def test_a_description_elsewhere_is_refused(
    place: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("datasets").mkdir()
    Path("datasets/own.yaml").write_text(SMALL)
    dataset = {"kind": "folder", "source": "x", "description": "datasets/own.yaml"}
    assert table_of(FolderDataset.model_validate(dataset)).classes == ("ground", "cat")
    with pytest.raises(UserError) as raised:
        table_of(FolderDataset.model_validate(dataset | {"description": place}))
    assert told in str(raised.value)


@pytest.mark.parametrize("name", ["ade20k", "camvid", "cityscapes", "cocostuff10k", "lip"])
def test_published_descriptions_are_whole(name: str) -> None:
    published = read_published(name)
    assert published.archives
    assert all(published.splits[split].images for split in ("train", "val"))


def test_the_example_is_a_description() -> None:
    example = REPOSITORY / "datasets/example.yaml"
    assert [row.name for row in read_description(example).classes] == ["background", "cat", "dog"]

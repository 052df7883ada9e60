"""Which annotations `isnet init` finds in a folder, what it makes of them, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_data import (
    SIZE,
    coco_file,
    cvat_file,
    labelme_file,
    supervisely_file,
    supervisely_meta,
    write_image,
)
from PIL import Image
from ruamel.yaml import YAML

from isnet.cli import main
from isnet.data.annotations.labelme_file import read_labelme
from isnet.data.inspection.annotation_files import find_annotations, pair_annotations
from isnet.data.inspection.class_list import decide_categories, number_categories
from isnet.data.inspection.folder_inspection import Hints, inspect_folder
from isnet.data.inspection.label_values import LabelValues
from isnet.data.inspection.pairing import Pairing
from isnet.data.inspection.splits import divide
from isnet.errors import UserError
from isnet.pipeline import run_memory

BOX = [[0, 0, 6, 0, 6, 8, 0, 8]]
CAT = {"label": "cat", "points": [[0, 0], [5, 0], [5, 7], [0, 7]], "shape_type": "polygon"}
CVAT_BOX = '<box label="cat" xtl="0" ytl="0" xbr="6" ybr="8"/>'
HALF = {"background": 0.5, "cat": 0.5}


def pair(root: Path, images: str | None = None, labels: str | None = None) -> Pairing:
    """Pair annotations, and prove that the patterns find the files."""
    found = find_annotations(root, root / labels if labels else None)
    pairing = pair_annotations(root, images, found, None)
    divide(root, pairing, None)
    return pairing


def _roboflow(root: Path) -> None:
    for split in ("train", "valid"):
        for name in ("a.jpg", "b.jpg"):
            write_image(root / split / name)
        shapes = {"a.jpg": [("cat", BOX)], "b.jpg": [("cat", BOX)]}
        coco_file(root / split / "_annotations.coco.json", shapes)


def _cvat_project(root: Path) -> None:
    for subset in ("Train", "Validation", "Test"):
        write_image(root / f"images/{subset}/a.png")
    names = [f"{subset}:a.png" for subset in ("Train", "Validation", "Test")]
    cvat_file(root / "annotations.xml", dict.fromkeys(names, CVAT_BOX))


def _labelme(root: Path) -> None:
    for name in ("a", "b", "c"):
        write_image(root / f"{name}.jpg")
        labelme_file(root / f"{name}.json", [CAT])


def _supervisely(root: Path) -> None:
    supervisely_meta(root, cat="#ff8000", bird="#000001")
    corners = {"exterior": [[0, 0], [5, 7]], "interior": []}
    cat = {"geometryType": "rectangle", "points": corners}
    for path in ("train/img/a.jpg", "train/img/b.jpg", "val/img/a.jpg"):
        write_image(root / path)
        supervisely_file(root / f"{path.replace('img', 'ann')}.json", [cat])


@pytest.mark.parametrize(
    ("write", "keys"),
    [
        (
            _roboflow,
            {
                "image": "{split}/{name}.jpg",
                "label": "{split}/_annotations.coco.json",
                "label_form": "coco",
                "splits": {"train": {"folder": "train"}, "val": {"folder": "valid"}},
            },
        ),
        (
            _cvat_project,
            {
                "image": "images/{split}/{name}.png",
                "label": "annotations.xml",
                "label_form": "cvat",
                "splits": {"train": {"folder": "Train"}, "val": {"folder": "Validation"}},
            },
        ),
        (
            _labelme,
            {
                "image": "{name}.jpg",
                "label": "{name}.json",
                "label_form": "labelme",
                "val_fraction": 0.2,
            },
        ),
        (
            _supervisely,
            {
                "image": "{split}/img/{name}.jpg",
                "label": "{split}/ann/{name}.jpg.json",
                "label_form": "supervisely",
                "classes": [{"name": "background"}, {"name": "cat", "color": [255, 128, 0]}],
            },
        ),
    ],
)
def test_annotations_become_a_description_that_converts(
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[Path], None],
    keys: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_memory, "_estimate_apart", lambda planned: 1 << 20)  # takes seconds
    write(tmp_path / "own")
    assert main(["init", "own", str(tmp_path / "own")]) == 0
    told = capsys.readouterr().out
    assert "50.0% of the pixels, which no shape covers, are the class 'background'" in told
    assert [line.split() for line in told.splitlines() if "cat " in line] == [["cat", "50.00%"]]
    written = YAML(typ="safe").load(Path("datasets/own.yaml"))
    classes = {"classes": [{"name": "background"}, {"name": "cat"}], "unlabelled": "background"}
    assert written == classes | keys
    for stage in ("download", "convert"):
        assert main([stage, "--dataset", "own"]) == 0
    census = json.loads(Path("results/datasets/own/census.json").read_text())
    assert len({*census["splits"]["val"]["pixels"]}) == 1  # as many of the cat as of the rest
    with Image.open("results/datasets/own/samples.png") as image:
        drawn = np.asarray(image)[: SIZE[1], SIZE[0] + 8 : 2 * SIZE[0] + 8]
    assert (drawn[0, 0] != drawn[0, -1]).any()


def _write_named(root: Path, files: dict[str, list[str]], images: list[str]) -> Path:
    """Write images, and per path of a COCO, CVAT or LabelMe file the names that it lists."""
    for name in images:
        write_image(root / name)
    for path, names in files.items():
        if path.endswith(".xml"):
            cvat_file(root / path, dict.fromkeys(names, CVAT_BOX))
        elif names:
            coco_file(root / path, {name: [("cat", BOX)] for name in names})
        else:
            labelme_file(root / path, [CAT])
    return root


TWO = {"train": "train", "val": "val"}


@pytest.mark.parametrize(
    ("files", "images", "expected"),
    [
        (  # COCO's own names
            {
                "annotations/instances_train2017.json": ["1.jpg"],
                "annotations/instances_val2017.json": ["2.jpg"],
            },
            ["train2017/1.jpg", "val2017/2.jpg"],
            ("{split}2017/{name}.jpg", "annotations/instances_{split}2017.json", TWO),
        ),
        (  # files that divide one folder, with the paths of Windows
            {"train.json": ["all\\1.jpg", "all\\3.png"], "val.json": ["all/2.jpg"]},
            ["x/all/1.jpg", "x/all/2.jpg", "x/all/3.png", "x/all/unused.jpg"],
            ("x/{name}.*", "{split}.json", TWO),
        ),
        (  # the same names in every split, with the word in folder and file
            {"train/train_coco.json": ["1.jpg"], "val/val_coco.json": ["1.jpg"]},
            ["train/1.jpg", "val/1.jpg"],
            ("{split}/{name}.jpg", "{split}/{split}_coco.json", TWO),
        ),
        (
            {"instances_default.json": ["1.jpg", "2.jpg"]},
            ["images/1.jpg", "images/2.jpg"],
            ("images/{name}.jpg", "instances_default.json", {}),
        ),
        (  # a task, in one subset
            {"annotations.xml": ["default:1.jpg", "default:2.jpg"]},
            ["images/default/1.jpg", "images/default/2.jpg"],
            ("images/default/{name}.jpg", "annotations.xml", {}),
        ),
        (
            {"train.xml": ["1.jpg"], "val.xml": ["2.jpg"]},
            ["images/1.jpg", "images/2.jpg"],
            ("images/{name}.jpg", "{split}.xml", TWO),
        ),
        (
            {"labels/train/1.json": [], "labels/val/2.json": []},
            ["images/train/1.jpg", "images/val/2.jpg"],
            ("images/{split}/{name}.jpg", "labels/{split}/{name}.json", TWO),
        ),
        (  # photographs of a name and an ending are no masks
            {f"{name}.json": [] for name in ("a", "a_1", "b", "b_1")},
            ["a.jpg", "a_1.jpg", "b.jpg", "b_1.jpg"],
            ("{name}.jpg", "{name}.json", {}),
        ),
    ],
)
def test_patterns_and_splits_follow_from_the_files(
    tmp_path: Path, files: dict[str, list[str]], images: list[str], expected: tuple[Any, ...]
) -> None:
    found = pair(_write_named(tmp_path, files, images))
    assert (found.image, found.label, found.split_folders) == expected


@pytest.mark.parametrize(
    ("files", "images", "message"),
    [
        ({"a.json": ["1.jpg"]}, ["2.jpg"], r"a.json: 1.jpg is listed, but .* by --images"),
        ({"a.json": ["1.jpg"]}, ["x/1.jpg", "y/1.jpg"], r"x/ and y/: either could .* --images"),
        (
            {"a.json": ["1.jpg"], "1.json": []},
            ["1.jpg"],
            r"2 kinds of annotations could be the labels: labelme \(1.json\), coco \(a.json\). .*"
            r"--labels FILE",
        ),
        (
            {"train.json": ["1.jpg"], "val.json": ["2.jpg"]},
            ["Train/1.jpg", "Val/2.jpg"],
            r"no pattern has the images of all splits: Train/ \(train\), Val/ \(val\)",
        ),
        ({"a.xml": ["x:1.jpg", "y:2.jpg"]}, ["1.jpg"], "subsets x, y, which do not name train"),
        (
            {"a.xml": ["train:1.jpg", "val:2.jpg"]},
            ["all/1.jpg", "all/2.jpg"],
            "its subsets train and val have their images in one folder. Move",
        ),
        (
            {"a.xml": ["train:1.jpg", "val:2.jpg"]},
            ["train/1.jpg", "val/2.jpg", "val/3.jpg"],
            "val/3.jpg is not listed",
        ),
        ({"labels/1.json": []}, ["2.jpg"], "no image has the name of an annotation file"),
    ],
)
def test_what_is_missing_or_ambiguous_is_refused_in_a_line(
    tmp_path: Path, files: dict[str, list[str]], images: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        pair(_write_named(tmp_path, files, images))
    assert "\n" not in str(error.value)


def test_a_file_chooses_among_several_kinds(tmp_path: Path) -> None:
    kinds = ("instances", "stuff")
    files = {f"{kind}_{split}.json": [f"{split}.jpg"] for kind in kinds for split in TWO}
    root = _write_named(tmp_path, files, ["i/train.jpg", "i/val.jpg"])
    with pytest.raises(UserError, match=r"coco \(instances_\{split\}.json\), coco \(stuff_"):
        pair(root)
    assert pair(root, labels="stuff_val.json").label == "stuff_{split}.json"


@pytest.mark.parametrize(
    ("name", "content", "format_name"),
    [
        ("a.json", {"images": [], "annotations": [{"bbox": [1, 1, 2, 2]}]}, "COCO's .* without"),
        ("a.xml", "<annotation><object><bndbox/></object></annotation>", "Pascal VOC's XML"),
        ("a.xml", "<annotation><object><polygon/></object></annotation>", "old LabelMe's XML"),
    ],
)
def test_formats_that_are_not_drawn_are_refused_by_name(
    tmp_path: Path, name: str, content: object, format_name: str
) -> None:
    write_image(tmp_path / "a.jpg")
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=rf"{name}: holds {format_name} .* Export"):
        inspect_folder(tmp_path, Hints(), Path("d.yaml"))


@pytest.mark.parametrize(
    ("categories", "pixels", "ignore", "classes"),
    [
        ("dog cat", [5, 5, 5], "", "background cat dog"),
        ("dog cat", [0, 5, 5], "", "cat dog"),
        ("cat dog", [5, 5, 5], "background", "cat dog"),
        ("cat _background_ ant", [5, 5, 5], "", "_background_ ant cat"),
        ("cat __ignore__", [5, 5, 5], "", "background cat"),
        ("cat dog", [5, 5, 5], "dog", "background cat"),
        ("cat dog __ignore__", [5, 5, 5, 5], "dog", "background cat"),
    ],
)
def test_uncovered_pixels_become_the_background(
    tmp_path: Path, categories: str, pixels: list[int], ignore: str, classes: str
) -> None:
    values = LabelValues("labelme", Counter(dict(enumerate(pixels))), Counter(), [])
    file = labelme_file(tmp_path / "a.json", [CAT | {"label": name} for name in categories.split()])
    ids = number_categories({file: read_labelme(file)}, tmp_path)
    found = decide_categories(values, ids, ignore.split(), {})
    assert [row["name"] for row in found.classes.values()] == classes.split()


@pytest.mark.parametrize("masks", ["{name}_mask.png", "masks/{name}.png"])
def test_masks_beside_annotations_are_asked_for(tmp_path: Path, masks: str) -> None:
    _labelme(tmp_path)
    folder = (tmp_path / masks).parent
    folder.mkdir(exist_ok=True)
    choice = rf"--labels {folder} for the masks, or --labels {tmp_path}/a\.json"
    for name in "abc":  # a stray one, too few, one for each image
        Image.fromarray(np.eye(8, 12, dtype=np.uint8)).save(tmp_path / masks.format(name=name))
        with pytest.raises(UserError, match=rf"\(a\.json\): either could be .* {choice}"):
            inspect_folder(tmp_path, Hints(), Path("d.yaml"))
    found = inspect_folder(tmp_path, Hints(labels=folder), Path("d.yaml"))
    assert found.keys["label"] == masks
    found = inspect_folder(tmp_path, Hints(labels=tmp_path / "b.json"), Path("d.yaml"))
    assert found.keys["label"] == "{name}.json"
    assert found.shares == HALF


def test_images_may_lie_in_a_folder_of_the_name_of_their_annotations(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_image(tmp_path / f"{split}/a.png")
        coco_file(tmp_path / f"{split}.json", {"a.png": [("cat", BOX)]})
    assert pair(tmp_path).image == "{split}/{name}.png"


def test_a_labelme_file_that_is_given_stands_for_all_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_image(tmp_path / f"{split}/a.jpg")
        labelme_file(tmp_path / f"{split}/a.json", [CAT])
    assert set(pair(tmp_path, None, "train/a.json").split_folders) == {"train", "val"}


def test_what_init_says_of_a_supervisely_project(tmp_path: Path) -> None:
    _supervisely(tmp_path)
    report = inspect_folder(tmp_path, Hints(), Path("d.yaml")).report
    assert "classes: their colours are those in meta.json" in report
    assert "classes: left out, as no shape has them: bird" in report


def _datasets(root: Path, *images: str) -> Path:
    """Write a Supervisely project with these images and their annotations."""
    supervisely_meta(root, cat="#ff8000")
    for name in images:
        write_image(root / name)
        path = root / f"{name.replace('img/', 'ann/')}.json"
        supervisely_file(path, [{"points": {"exterior": [[0, 0], [5, 0], [5, 7]]}}])
    return root


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["ds/img/a.png", "ds/img/b.png"], ("ds/img/{name}.png", "ds/ann/{name}.png.json", {})),
        (
            ["p/train/img/a.png", "p/train/img/a.jpg", "p/val/img/a.jpg"],
            ("p/{split}/img/{name}", "p/{split}/ann/{name}.json", TWO),
        ),
    ],
)
def test_a_supervisely_dataset_is_divided_by_its_name(
    tmp_path: Path, images: list[str], expected: tuple[Any, ...]
) -> None:
    found = pair(_datasets(tmp_path, *images))
    assert (found.image, found.label, found.split_folders) == expected


@pytest.mark.parametrize(
    ("change", "hints", "message"),
    [
        (
            lambda root: _datasets(root, "more/img/a.png"),
            {},
            "the datasets are more, train, val, not just train and val",
        ),
        (
            lambda root: supervisely_file(root / "a.json", []),
            {},
            "a.json: is not in the folder `ann` of a dataset",
        ),
        (lambda root: None, {"images": "val"}, "--images: val is not .*train/img"),
        (lambda root: None, {"label_suffix": "_x"}, "--label-suffix: is for masks and LabelMe's"),
        (
            lambda root: (root / "train/img/a.png").unlink(),
            {},
            "label train/ann/a.png.json has no image",
        ),
        (lambda root: (root / "meta.json").unlink(), {}, "no folder above has the meta.json"),
        (
            lambda root: supervisely_meta(root, dog="#000000"),
            {},
            "a.png.json: the class 'cat' is not in .*meta.json",
        ),
        (
            lambda root: supervisely_meta(root, cat="red"),
            {},
            "meta.json: classes.0.color: should match .*, got .red",
        ),
    ],
)
def test_an_incomplete_supervisely_project_is_refused_in_a_line(
    tmp_path: Path, change: Callable[[Path], object], hints: dict[str, Any], message: str
) -> None:
    change(_datasets(tmp_path, "train/img/a.png", "train/img/b.png", "val/img/a.png"))
    if images := hints.get("images"):
        hints = hints | {"images": tmp_path / images}
    with pytest.raises(UserError, match=message) as error:
        inspect_folder(tmp_path, Hints(**hints), Path("d.yaml"))
    assert "\n" not in str(error.value)

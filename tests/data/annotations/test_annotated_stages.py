"""Annotations as labels, from params.yaml to train ids, through the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotated_data import coco_file, cvat_file, labelme_file, write_image
from own_params import write_own_params
from PIL import Image

from isnet.cli import main

COCO = "image: '{split}/{name}.*'\nlabel: '{split}/_annotations.coco.json'\nlabel_form: coco\n"
CVAT = "image: 'images/{split}/{name}.png'\nlabel: annotations.xml\nlabel_form: cvat\n"
LABELME = "image: '{split}/{name}.png'\nlabel: '{split}/{name}.json'\nlabel_form: labelme\n"
FOLDERS = "splits: {train: {folder: Train}, val: {folder: Validation}}\n"
CLASSES = "classes: [ground, cat]\nunlabelled: ground\nignore: [dog]\n"


@pytest.fixture
def root(checkout: Path, tmp_path: Path) -> Path:
    """Folder of the data set."""
    write_own_params(tmp_path / "own")
    return tmp_path / "own"


def _describe(text: str) -> None:
    Path("datasets").mkdir(exist_ok=True)
    Path("datasets/own.yaml").write_text(text)


def _run() -> int:
    codes = (main([stage, "--dataset", "own"]) for stage in ("download", "convert"))
    return next((code for code in codes if code), 0)


def _made(split: str, name: str) -> list[str]:
    manifest = json.loads(Path("results/datasets/own/manifest.json").read_text())
    entries = {entry["image"]: entry for entry in manifest["splits"][split]}
    label = Path("data") / manifest["label_root"] / entries[name]["label"]
    return ["".join(f"{pixel:x}"[-1] for pixel in row) for row in np.asarray(Image.open(label))]


def _square(left: int, top: int, side: int) -> list[list[float]]:
    right, bottom = left + side, top + side
    return [[left, top, right, top, right, bottom, left, bottom]]


def _coco_set(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("a.png", "b.png"):
            write_image(root / split / name)
        shapes = {"a.png": [("cat", _square(0, 0, 2)), ("dog", _square(1, 1, 2))], "b.png": []}
        coco_file(root / split / "_annotations.coco.json", shapes)
    _describe(COCO + CLASSES)


def test_a_coco_set_is_converted_and_made_again_after_a_change(root: Path) -> None:
    _coco_set(root)
    assert _run() == 0
    rows = _made("train", "train/a.png")
    assert rows[:3] == ["110000000000", "1ff000000000", "0ff000000000"]
    assert set("".join(_made("val", "val/b.png"))) == {"0"}

    path = root / "train/_annotations.coco.json"
    coco_file(path, {"a.png": [], "b.png": [("cat", _square(3, 0, 1))]})
    os.utime(path, (1, 1))
    assert main(["convert", "--dataset", "own"]) == 0
    assert set("".join(_made("train", "train/a.png"))) == {"0"}
    assert _made("train", "train/b.png")[0] == "000100000000"


def test_a_change_of_a_panoptic_file_changes_the_labels(root: Path) -> None:
    for split in ("train", "val"):
        write_image(root / split / "a.png")
        (root / f"ids_{split}").mkdir()
        segments = np.zeros((8, 12, 3), np.uint8)
        segments[:2, :, 0], segments[2:4, :, 0] = 7, 8  # the other half is no segment
        Image.fromarray(segments).save(root / f"ids_{split}/a.png")
    _describe(COCO.replace("{split}/_annotations.coco", "ids_{split}") + CLASSES)
    for category, made in ((3, "1"), (5, "f")):
        info = [{"id": 7, "category_id": category}, {"id": 8, "category_id": 3}]
        annotation = {"image_id": 0, "file_name": "a.png", "segments_info": info}
        for split in ("train", "val"):
            path = coco_file(root / f"ids_{split}.json", {"a.png": []}, annotations=[annotation])
            os.utime(path, (category, category))
        assert _run() == 0
        assert [row[0] for row in _made("val", "val/a.png")] == [*(made * 2), *"110000"]


def test_pixels_that_nothing_covers_are_ignored_without_unlabelled(root: Path) -> None:
    _coco_set(root)
    _describe(COCO + "classes: [cat, dog]\n")
    assert _run() == 0
    assert _made("val", "val/a.png")[0] == "00ffffffffff"
    assert set("".join(_made("val", "val/b.png"))) == {"f"}


def test_images_of_one_folder_are_divided_by_the_coco_files(root: Path) -> None:
    for name in ("a", "b", "c", "unused"):
        write_image(root / f"images/{name}.png")
    coco_file(root / "train.json", {"images\\a.png": [], "images/b.png": []})
    coco_file(root / "val.json", {"images/c.png": []})
    _describe(
        COCO.replace("{split}/_annotations.coco", "{split}").replace("{split}/{name}.*", "{name}.*")
        + CLASSES
    )
    assert _run() == 0
    manifest = json.loads(Path("results/datasets/own/manifest.json").read_text())
    assert [entry["image"] for entry in manifest["splits"]["train"]] == [
        "images/a.png",
        "images/b.png",
    ]
    assert [entry["label"] for entry in manifest["splits"]["val"]] == ["val/images/c.png"]


def test_the_subsets_of_a_cvat_project_are_the_splits(root: Path) -> None:
    box = '<box label="cat" xtl="0" ytl="0" xbr="3" ybr="1"/>'
    for folder in ("Train", "Validation"):
        write_image(root / f"images/{folder}/a.png")
    images = {"Train:a.png": box, "Validation:a.png": "", "Test:z.png": ""}
    cvat_file(root / "annotations.xml", images)
    _describe(CVAT + FOLDERS + CLASSES)
    assert _run() == 0
    assert _made("train", "images/Train/a.png")[0] == "111000000000"
    assert set("".join(_made("val", "images/Validation/a.png"))) == {"0"}


def test_labelme_files_are_labels_beside_their_images(root: Path) -> None:
    shape = {"label": "cat", "points": [[1, 1], [2, 2]], "shape_type": "rectangle"}
    for split in ("train", "val"):
        write_image(root / split / "a.png")
        labelme_file(root / split / "a.json", [shape])
    _describe(LABELME + CLASSES)
    assert _run() == 0
    assert _made("val", "val/a.png")[:3] == ["000000000000", "011000000000", "011000000000"]


def _spoil(root: Path, **changes: Any) -> None:
    coco_file(root / "val/_annotations.coco.json", {"a.png": [], "b.png": []}, **changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / "val/_annotations.coco.json").write_text('{"images": ['),
            "val/_annotations.coco.json: not valid JSON: Expecting value: line 1 column 13",
        ),
        (
            lambda root: (root / "val/_annotations.coco.json").unlink(),
            "has no val/_annotations.coco.json",
        ),
        (
            lambda root: _spoil(root, categories=[], annotations=None),
            "annotations: input should be a valid list",
        ),
        (
            lambda root: write_image(root / "val/b.png", (6, 5)),
            "val/_annotations.coco.json, b.png: the label is 12x8, its image 6x5",
        ),
        (lambda root: write_image(root / "val/c.png"), "val/c.png is not listed. Add it or remove"),
        (
            lambda root: (root / "val/a.png").unlink(),
            "_annotations.coco.json: a.png is listed, but there is no val/a.png",
        ),
        (
            lambda root: _spoil(
                root,
                images=[
                    {"id": each, "file_name": "a.png", "width": 12, "height": 8} for each in (0, 1)
                ],
            ),
            "lists the image a.png twice",
        ),
        (
            lambda root: _describe(COCO + "classes: [ground, cat]\nunlabelled: ground\n"),
            "a.png: unknown category 'dog' (1 of 2 shapes). Add it to `classes` or `ignore` of",
        ),
        (
            lambda root: _spoil(
                root, annotations=[{"id": 4, "image_id": 0, "category_id": 8, "segmentation": []}]
            ),
            "annotation 4: category_id 8 is not in categories",
        ),
        (
            lambda root: _spoil(root, annotations=[{"image_id": 9, "category_id": 3}]),
            "annotation 0: image_id 9 is not in images",
        ),
    ],
)
def test_what_is_wrong_with_annotations_is_one_line(
    spoil: Callable[[Path], Any], message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _coco_set(root)
    spoil(root)
    assert _run() == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("isnet:")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not Path("results/datasets/own/manifest.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations><image", "annotations.xml: not valid XML: unclosed token"),
        ("<annotations><track id='0'/></annotations>", "holds tracks of a video. Export as `CVAT"),
        (
            "<annotations><image name='a.png' width='12' height='8'/></annotations>",
            "a.png has no subset. Write {split}",
        ),
    ],
)
def test_what_is_wrong_with_a_cvat_file_is_one_line(
    text: str, message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("Train", "Validation"):
        write_image(root / f"images/{folder}/a.png")
    (root / "annotations.xml").write_text(text)
    _describe(CVAT + FOLDERS + CLASSES)
    assert _run() == 2
    assert message in capsys.readouterr().err

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from isnet.data.catalog import read_published
from isnet.errors import UserError
from isnet.inference.submission import Submission, list_images, open_output


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_cityscapes_files_have_the_official_ids_and_names():
    labels = pytest.importorskip("cityscapesscripts.helpers.labels")
    form = Submission("cityscapes")
    ids = decoded(form.encode(np.arange(19, dtype=np.uint8)[None]))
    assert ids.dtype == np.uint8
    assert ids[0].tolist() == [labels.trainId2label[train_id].id for train_id in range(19)]
    image = Path("leftImg8bit/test/berlin/berlin_000543_000019_leftImg8bit.png")
    assert form.name(image) == "berlin_000543_000019_labelIds.png"
    with pytest.raises(UserError, match=r"holiday\.png: is not named <city>"):
        form.name(Path("holiday.png"))


def test_ade20k_files_have_labels_1_to_150_and_the_images_names():
    form = Submission("ade20k")
    labels = decoded(form.encode(np.arange(150, dtype=np.uint8)[None]))
    assert labels[0].tolist() == list(range(1, 151))
    assert form.name(Path("release_test/ADE_test_00000001.jpg")) == "ADE_test_00000001.png"


def test_two_images_of_one_name_are_refused():
    with pytest.raises(UserError, match=r"2 images would become x\.png"):
        Submission("ade20k").names([Path("a/x.jpg"), Path("b/x.jpg"), Path("b/y.jpg")])


def test_a_model_with_other_classes_is_refused():
    classes = [row.name for row in read_published("ade20k").classes]
    Submission("ade20k").check(classes, "data set ade")
    with pytest.raises(UserError, match="data set ade: its classes are not the 19 of cityscapes"):
        Submission("cityscapes").check(classes, "data set ade")


def test_a_folder_gives_its_images_in_the_order_of_their_paths(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((33, 50, 3), 99, np.uint8))
    (tmp_path / "deeper").mkdir()
    cv2.imwrite(str(tmp_path / "deeper/b.png"), np.full((20, 64), 7, np.uint8))
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.png"]
    with pytest.raises(UserError, match="no images"):
        list_images(tmp_path / "none")


@pytest.mark.parametrize("name", ["results.zip", "results"])
def test_it_appears_as_a_whole_or_not_at_all(tmp_path: Path, name: str):
    output = tmp_path / "out" / name
    with pytest.raises(KeyboardInterrupt), open_output(output) as write:
        write("a.png", b"a")
        raise KeyboardInterrupt
    assert list(output.parent.iterdir()) == []
    with open_output(output) as write:
        write("a.png", b"a")
        write("b.png", b"b")
        assert not output.exists()
    if output.suffix:
        with zipfile.ZipFile(output) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == {
                "a.png": b"a",
                "b.png": b"b",
            }
    else:
        assert {path.name: path.read_bytes() for path in output.iterdir()} == {
            "a.png": b"a",
            "b.png": b"b",
        }
    with pytest.raises(UserError, match="is there already"), open_output(output):
        pass


def test_the_same_predictions_are_the_same_bytes(tmp_path: Path):
    for name in ("one.zip", "two.zip"):
        with open_output(tmp_path / name) as write:
            write("a.png", Submission("ade20k").encode(np.eye(9, dtype=np.uint8)))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive, archive.open("a.png") as file:
        assert Image.open(file).mode == "L"

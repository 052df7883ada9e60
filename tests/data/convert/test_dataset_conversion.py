"""Conversion of labels of every form to train ids, and checks of images and labels."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from own_data import COLORS, WRITERS, OwnData
from PIL import Image
from scipy.io import savemat

from isnet.errors import UserError

TRAIN_ID = np.array([0, 1, 2, 255], np.uint8)


def _error(own: OwnData) -> str:
    with pytest.raises(UserError) as raised:
        own.convert()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_becomes_8_bit_train_ids(form: str, tmp_path: Path) -> None:
    own = OwnData(tmp_path, form, left_right=[["cat", "dog"]])
    ids = {split: own.write(split, "one") for split in ("train", "val")}
    manifest, census = own.convert()
    for split, raw in ids.items():
        assert manifest["splits"][split][0]["label"] == f"{split}/one.png"
        made = own.labels / split / "one.png"
        with Image.open(made) as image:
            assert image.mode == "L"
            np.testing.assert_array_equal(np.asarray(image), TRAIN_ID[raw])
        counts = census["splits"][split]
        assert counts["pixels"] == [int((raw == one).sum()) for one in range(3)]
        assert counts["ignored_pixels"] == int((raw == 3).sum())
        assert counts["images_with_class"] == [1, 1, 1]
        assert counts["sizes"] == {"24x16": 1}
    assert manifest["flip_pairs"] == [[1, 2]]
    assert manifest["version"] == 1


def test_ids_above_255_are_read_from_16_bits(tmp_path: Path) -> None:
    own = OwnData(
        tmp_path,
        "ids of 16 bits",
        classes=[{"name": "a", "id": 300}, {"name": "b", "id": 44}],
        ignore=[65535],
    )
    ids = np.array([[300, 44, 65535, 300]], np.uint16)
    for split in ("train", "val"):
        own.write(split, "one", ids)
    own.convert()
    made = np.asarray(Image.open(own.labels / "train/one.png"))
    assert made.tolist() == [[0, 1, 255, 0]]


@pytest.mark.parametrize("form", ["ids", "ids of 16 bits", "palette", "colors"])
def test_tiff_labels_are_read_too(form: str, tmp_path: Path) -> None:
    own = OwnData(tmp_path, form, label="masks/{split}/{name}.tif")
    ids = {split: own.write(split, "one") for split in ("train", "val")}
    own.convert()
    made = np.asarray(Image.open(own.labels / "val/one.png"))
    np.testing.assert_array_equal(made, TRAIN_ID[ids["val"]])


def test_a_truncated_tiff_label_is_reported(tmp_path: Path) -> None:
    own = OwnData(tmp_path, label="masks/{split}/{name}.tif")
    own.write("train", "one"), own.write("val", "one")
    path = own.label("train", "one")
    path.write_bytes(path.read_bytes()[:100])
    assert "masks/train/one.tif: cannot be read" in _error(own)


def test_an_image_whose_decoder_only_warns_is_reported(tmp_path: Path) -> None:
    own = OwnData(tmp_path)
    own.write("train", "one"), own.write("val", "one")
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    (path,) = (own.raw / "images/train").glob("one.*")
    Image.fromarray(noise).save(path, "JPEG")
    content = path.read_bytes()
    path.write_bytes(content[:3000] + bytes(300) + content[3300:])
    assert "cannot be read: damaged (Corrupt JPEG data" in _error(own)


def test_mirrored_classes_are_another_data_set(tmp_path: Path) -> None:
    digests = set()
    for keys in ({}, {"left_right": [["cat", "dog"]]}):
        own = OwnData(tmp_path, **keys)
        own.write("train", "one"), own.write("val", "one")
        digests.add(own.convert()[0]["digest"])
    assert len(digests) == 2


def test_labels_of_one_name_in_two_folders_stay_two(tmp_path: Path) -> None:
    own = OwnData(tmp_path)
    ids = {name: own.write("train", name) for name in ("north/1", "south/1", "south/deep/1")}
    own.write("val", "1")
    manifest, _ = own.convert(workers=2)
    assert [entry["label"] for entry in manifest["splits"]["train"]] == [
        f"train/{name}.png" for name in ids
    ]
    for name, raw in ids.items():
        made = np.asarray(Image.open(own.labels / f"train/{name}.png"))
        np.testing.assert_array_equal(made, TRAIN_ID[raw])


def test_labels_that_would_overwrite_each_other_are_reported(tmp_path: Path) -> None:
    own = OwnData(tmp_path, image="images/{name}.png", label="masks/{name}.png", list="{split}.txt")
    for name in ("a.png", "b.png"):
        (own.raw / "images").mkdir(parents=True, exist_ok=True)
        (own.raw / "masks").mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(own.raw / "images" / name)
    for name in ("a.png", "a.tif"):
        Image.new("L", (4, 4)).save(own.raw / "masks" / name)
    for split in ("train", "val"):
        lines = "images/a.png masks/a.png\nimages/b.png masks/a.tif\n"
        (own.raw / f"{split}.txt").write_text(lines)
    assert "masks/a.png and masks/a.tif would both become train/a.png. Rename" in _error(own)


def test_an_image_in_both_splits_is_logged(tmp_path: Path) -> None:
    own = OwnData(tmp_path, list="{split}.txt", image="images/{name}.png", label="masks/{name}.png")
    for folder in ("images", "masks"):
        (own.raw / folder).mkdir(parents=True)
        Image.new("L", (4, 4)).save(own.raw / folder / "a.png")
    for split in ("train", "val"):
        (own.raw / f"{split}.txt").write_text("a")
    own.convert()
    assert (
        "1 images are in train and in val, such as images/a.png: scores will be too high"
        in own.messages
    )


def _unknown_color(own: OwnData) -> None:
    colors = np.zeros((16, 24, 3), np.uint8)
    colors[5, 7] = colors[6, 2] = (1, 2, 3)
    Image.fromarray(colors).save(own.label("train", "one"))


def _blurred(own: OwnData) -> None:
    colors = np.array(COLORS, np.uint8)[np.eye(4, 6, dtype=int)]
    image = Image.fromarray(colors).resize((24, 16), Image.Resampling.BICUBIC)
    image.save(own.label("train", "one"))


def _mode(mode: str, container: str = "PNG") -> Callable[[OwnData], None]:
    return lambda own: Image.new(mode, (24, 16)).save(own.label("train", "one"), container)


def _values(value: Any) -> Callable[[OwnData], None]:
    values = np.full((16, 24, value.size)[: value.ndim + 2], value)
    return lambda own: Image.fromarray(values).save(own.label("train", "one"), "TIFF")


def _cut(own: OwnData) -> None:
    path = own.label("train", "one")
    path.write_bytes(path.read_bytes()[:-20])


def _matlab(**variables: object) -> Callable[[OwnData], None]:
    return lambda own: savemat(own.label("train", "one"), variables)


@pytest.mark.parametrize(
    ("form", "spoil", "message"),
    [
        ("colors", _unknown_color, "masks/train/one.png: unknown label color 1,2,3 in 2 pixels, the first at row 5, column 7. datasets/own.yaml has it"),
        ("colors", _blurred, "more unknown colors. So many come from blurred edges"),
        ("colors", _mode("RGBA"), "has 384 pixels that are not opaque, whose class is not clear. Save it without alpha"),
        ("colors", _mode("P"), "has mode P, which `label_form: colors` does not read. If all labels are so, write `label_form: palette` in datasets/own.yaml; else save all in one form"),
        ("colors", _mode("RGB", "JPEG"), "one.png: is a JPEG file, needed is PNG, BMP, TIFF, GIF. JPEG changes values at edges: save the original as PNG"),
        ("colors", _cut, "one.png: cannot be read: truncated, damaged, or of a kind that OpenCV does not read. Replace"),
        ("palette", _mode("L"), "has mode L, which `label_form: palette` does not read. If all labels are so, write `label_form: ids`"),
        ("palette", _mode("RGB"), "write `label_form: colors` in datasets/own.yaml"),
        ("palette", _cut, "one.png: cannot be read: truncated, damaged"),
        ("ids", _mode("LA"), "has 384 pixels that are not opaque"),
        ("ids", _mode("CMYK", "TIFF"), "has mode CMYK, which `label_form: ids` does not read. Save ids as PNG of 8-bit"),
        ("ids", _values(np.float32(0.5)), "has values of float32 from 0.5 to 0.5, needed are whole numbers from 0 to 65535"),
        ("ids", _values(np.int32(-1)), "has values of int32 from -1 to -1"),
        ("ids", _values(np.array([1, 2, 3], np.uint8)), "has mode RGB with colours, which `label_form: ids` does not read. If all labels are so, write `label_form: colors`"),
        ("ids of 16 bits", _cut, "one.png: cannot be read: truncated, damaged"),
        ("mat", _matlab(T=np.eye(3)), "masks/train/one.mat: has no variable S. Replace it"),
        ("mat", _matlab(S=np.full((16, 24), 0.5)), "one.mat: S is 16x24 of float64, needed are whole numbers from 0 to 65535"),
        ("mat", _matlab(S=np.full((16, 24), -1)), "one.mat: S is 16x24 of int64"),
        ("mat", _matlab(S="text"), "one.mat: S is 1 of <U4"),
        ("mat", _matlab(S=np.zeros((16, 24, 3))), "one.mat: S is 16x24x3 of float64"),
        ("mat", _matlab(S=np.full((16, 24), 70)), "one.mat: unknown label id 70 in 384 pixels, the first at row 0, column 0"),
        ("mat", _cut, "one.mat: cannot be read: a damaged or no MATLAB file"),
        ("mat", lambda own: own.label("train", "one").write_text("<html>"), "one.mat: cannot be read"),
        ("mat", lambda own: own.label("train", "one").write_text(""), "one.mat: cannot be read: empty"),
    ],
)  # fmt: skip
def test_a_label_of_another_form_is_reported_in_one_line(
    form: str, spoil: Callable[[OwnData], None], message: str, tmp_path: Path
) -> None:
    own = OwnData(tmp_path, form)
    own.write("train", "one"), own.write("val", "one")
    spoil(own)
    assert message in _error(own)


@pytest.mark.parametrize("container", ["PNG", "TIFF"])
def test_a_mask_of_1_bit_is_read_as_0_and_1(container: str, tmp_path: Path) -> None:
    own = OwnData(tmp_path)
    own.write("train", "one"), own.write("val", "one")
    ids = np.eye(16, 24, dtype=bool)
    Image.fromarray(ids).save(own.label("train", "one"), container)
    assert own.convert()[1]["splits"]["train"]["pixels"] == [16 * 24 - 16, 16, 0]


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", ".jpg"), ("RGB", ".jpg"), ("P", ".png"), ("RGBA", ".png"), ("LA", ".png")],
)
def test_an_image_is_accepted_if_training_reads_what_is_to_be_seen(
    mode: str, suffix: str, tmp_path: Path
) -> None:
    own = OwnData(tmp_path, image="images/{split}/{name}.*")
    for split in ("train", "val"):
        own.write(split, "one")
        own.image(split, "one").unlink()
        shown = Image.radial_gradient("L").resize((24, 16)).convert(mode)
        if "A" in mode:
            shown.putalpha(Image.linear_gradient("L").resize((24, 16)))
        shown.save(own.image(split, "one", suffix))
    entry = own.convert()[0]["splits"]["train"][0]
    assert (entry["width"], entry["height"]) == (24, 16)
    read = cv2.imread(str(own.raw / entry["image"]))[..., ::-1]
    np.testing.assert_array_equal(read, Image.open(own.raw / entry["image"]).convert("RGB"))
    dropped = ["2 images have transparency, which is dropped"] if "A" in mode else []
    assert [line for line in own.messages if not line.startswith("warning")] == dropped


def _turned(own: OwnData, orientation: int, size: tuple[int, int], suffix: str) -> None:
    own.write("train", "one"), own.write("val", "one")
    own.image("train", "one").unlink()
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.new("RGB", size).save(own.image("train", "one", suffix), exif=tags)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_that_exif_turns_has_the_size_that_training_reads(
    suffix: str, tmp_path: Path
) -> None:
    own = OwnData(tmp_path)
    _turned(own, 6, (16, 24), suffix)
    entry = own.convert()[0]["splits"]["train"][0]
    assert cv2.imread(str(own.raw / entry["image"])).shape == (16, 24, 3)
    assert (entry["width"], entry["height"]) == (24, 16)


def test_a_label_that_is_not_turned_with_its_image_is_reported(tmp_path: Path) -> None:
    own = OwnData(tmp_path)
    _turned(own, 6, (24, 16), ".jpg")
    assert (
        "one.png: the label is 24x16, its image 16x24, turned as its EXIF orientation says. "
        "Make the label fit the image as it is shown" in _error(own)
    )


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_where_sizes_do_not_tell_whether_a_label_is_turned_it_stops(
    orientation: int, tmp_path: Path
) -> None:
    own = OwnData(tmp_path)
    _turned(own, orientation, (24, 16), ".jpg")
    assert "one.jpg: an EXIF orientation turns or mirrors it" in _error(own)


def test_an_upright_orientation_changes_nothing(tmp_path: Path) -> None:
    own = OwnData(tmp_path)
    _turned(own, 1, (24, 16), ".jpg")
    own.convert()


def test_converted_labels_are_small(tmp_path: Path) -> None:
    """Not larger than Pillow's own, which takes three times as long."""
    own = OwnData(tmp_path)
    ids = np.repeat(np.repeat(np.eye(20, 30, dtype=np.uint8), 16, 0), 16, 1)
    for split in ("train", "val"):
        own.write(split, "one", ids)
    own.convert()
    usual = io.BytesIO()
    Image.fromarray(ids).save(usual, "PNG")
    assert (own.labels / "train/one.png").stat().st_size <= len(usual.getvalue())

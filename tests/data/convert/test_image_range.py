"""`convert` finds by which range images of more than 8 bits become 8, and says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from own_data import OwnData
from PIL import Image

from isnet.errors import UserError
from isnet.images.image_file import read_image
from isnet.images.pixel_format import PixelFormat
from isnet.io.atomic_files import digest_of
from isnet.records.dataset_records import Manifest
from isnet.reporting.label_samples import choose_samples

MEASURED = "`range: [low, high]` in datasets/own.yaml sets another"


def _deep(own: OwnData, split: str, name: str, low: int, high: int) -> None:
    own.write(split, name)
    values = np.linspace(low, high, 16 * 24, dtype=np.uint16).reshape(16, 24)
    cv2.imwrite(str(own.image(split, name)), values)


def _own(root: Path, **keys: Any) -> OwnData:
    own = OwnData(root, **keys)
    _deep(own, "train", "one", 100, 3000)
    _deep(own, "train", "two", 200, 4000)
    _deep(own, "val", "one", 0, 60000)
    return own


def test_the_range_of_the_train_images_is_measured_and_said(tmp_path: Path) -> None:
    own = _own(tmp_path)
    manifest, _ = own.convert()
    low, high = manifest["range"]
    assert 100 < low < 130
    assert 3950 < high < 4000
    assert (
        f"3 of 3 images have more than 8 bits: {low:g} becomes 0, {high:g} becomes 255 (measured "
        f"in train; {MEASURED})"
    ) in own.messages
    own.convert()  # from the journal
    assert own.convert()[0] == manifest


def test_a_small_range_far_from_zero_is_kept(tmp_path: Path) -> None:
    own = OwnData(tmp_path)
    for split in ("train", "val"):
        own.write(split, "one")
        size = Image.open(own.image(split, "one")).size
        values = 3e9 + np.linspace(0, 900, size[0] * size[1]).reshape(size[::-1])
        tiff = own.image(split, "one")
        Image.fromarray(values.astype(np.float32) / 1e6).save(tiff, format="TIFF")
    low, high = own.convert()[0]["range"]
    assert 3000 <= low < high <= 3000.001


def test_a_given_range_is_taken_and_is_part_of_the_data(tmp_path: Path) -> None:
    own = _own(tmp_path, range=[0, 4095])
    manifest, _ = own.convert()
    assert manifest["range"] == [0, 4095]
    assert any("(as datasets/own.yaml says)" in line for line in own.messages)
    assert _own(tmp_path / "other", range=[0, 4096]).convert()[0]["digest"] != manifest["digest"]


def test_labels_html_shows_the_images_of_the_training(tmp_path: Path) -> None:
    own = _own(tmp_path, range=[0, 4000])
    samples, _ = choose_samples(Manifest.model_validate(own.convert()[0]), own.data)
    assert len(samples) == 3


def test_8_bit_images_have_no_range_and_the_former_digest(tmp_path: Path) -> None:
    own = OwnData(tmp_path)
    for split in ("train", "val"):
        own.write(split, "one")
    manifest, _ = own.convert()
    assert "range" not in manifest
    parts = ("classes", "ignore_index", "flip_pairs", "splits")
    assert manifest["digest"] == digest_of({part: manifest[part] for part in parts})


def test_a_range_that_does_nothing_is_refused(tmp_path: Path) -> None:
    own = OwnData(tmp_path, range=[0, 4095])
    for split in ("train", "val"):
        own.write(split, "one")
    with pytest.raises(UserError, match=r"own\.yaml: range is for images .* Leave it out"):
        own.convert()


@pytest.mark.parametrize("low_high", [[5, 5], [5, 4], [0, float("inf")], [float("nan"), 1]])
def test_a_range_goes_from_low_to_high(low_high: list[float]) -> None:
    with pytest.raises(ValueError, match=r"needed is \[low, high\] with low < high"):
        OwnData(Path(), range=low_high)


def test_a_mixture_of_depths_and_a_single_value_ask_for_a_range(tmp_path: Path) -> None:
    own = OwnData(tmp_path)
    own.write("train", "one")
    _deep(own, "val", "one", 0, 4000)
    with pytest.raises(UserError, match=r"val/one\.png: has more than 8 bits, as 1 of 2 images"):
        own.convert()
    _deep(own, "train", "one", 7, 7)
    with pytest.raises(UserError, match=r"all images of train have the value 7\. Write `range: \["):
        own.convert()


def test_images_of_8_bits_stay_as_they_are_beside_a_given_range(tmp_path: Path) -> None:
    own = _own(tmp_path, range=[0, 4095])
    own.write("train", "three")
    manifest, _ = own.convert()
    assert manifest["range"] == [0, 4095]
    assert any("3 of 4 images have more than 8 bits" in line for line in own.messages)
    stored = np.asarray(Image.open(own.image("train", "three")))
    np.testing.assert_array_equal(
        read_image(own.image("train", "three"), PixelFormat((0, 4095))), stored
    )


def test_an_image_without_a_value_is_refused(tmp_path: Path) -> None:
    own = OwnData(tmp_path, image="images/{split}/{name}.tif")
    for split in ("train", "val"):
        own.write(split, "one")
        nothing = Image.fromarray(np.full((16, 24), np.nan, np.float32))
        nothing.save(own.image(split, "one", ".tif"))
    with pytest.raises(UserError, match=r"one\.tif: has no finite value"):
        own.convert()


@pytest.mark.parametrize("mode", ["CMYK", "1", "L", "LA", "P", "RGBA"])
def test_images_of_8_bits_and_fewer_are_read_as_colours(mode: str, tmp_path: Path) -> None:
    suffix = ".jpg" if mode == "CMYK" else ".png"
    own = OwnData(tmp_path, image=f"images/{{split}}/{{name}}{suffix}")
    for split in ("train", "val"):
        own.write(split, "one")
        file = own.image(split, "one", suffix)
        picture = Image.open(own.image(split, "one")).convert("RGB").convert(mode)
        picture.save(file)
        wanted = np.asarray(Image.open(file).convert("RGB"), int)
        assert abs(read_image(file)[..., ::-1] - wanted).max() <= 1
    assert "range" not in own.convert()[0]

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from isnet.errors import UserError
from isnet.inference.input_images import read_rgb
from isnet.inference.overlays import (
    confidence_image,
    error_image,
    mask_image,
    write_overlays,
)

PALETTE = [[10, 20, 30], [200, 100, 50], [0, 250, 0]]


def scene(height: int, width: int):
    """Return an image (RGB), its truth (top ignored), a prediction with class 2 too much, and a
    confidence that rises from left to right.
    """
    ramp = np.linspace(30, 220, width).astype(np.uint8)
    image = np.repeat(np.tile(ramp, (height, 1))[..., None], 3, 2)
    image[:, :, 0] = 15
    truth = np.zeros((height, width), np.uint8)
    truth[:, width // 2 :] = 1
    prediction = truth.copy()
    prediction[height // 2 : height // 2 + height // 4, : width // 4] = 2
    truth[: height // 8] = 255
    rise = np.linspace(0, 1, width, dtype=np.float32) * np.ones((height, 1), np.float32)
    return image, truth, prediction, rise


def sure(labels):
    """Return a confidence of 1 everywhere."""
    return np.ones(labels.shape, np.float32)


def test_five_small_images_of_one_size(tmp_path: Path):
    files = write_overlays(tmp_path, "town_1", *scene(512, 1024), PALETTE)
    assert files == {
        "image": "town_1.image.jpg",
        "truth": "town_1.truth.png",
        "prediction": "town_1.prediction.png",
        "errors": "town_1.errors.png",
        "confidence": "town_1.confidence.png",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files.values())
    opened = {kind: Image.open(tmp_path / file) for kind, file in files.items()}
    assert {drawn.size for drawn in opened.values()} == {(480, 240)}
    assert opened["image"].format == "JPEG"
    assert [opened[kind].mode for kind in list(files)[1:]] == ["P"] * 4
    assert (tmp_path / files["truth"]).stat().st_size < 2000


def test_small_images_keep_their_size_and_an_odd_one_its_shape(tmp_path: Path):
    for height, width, expected in (
        (41, 73, (73, 41)),
        (333, 999, (480, 160)),
        (1, 2000, (480, 1)),
    ):
        files = write_overlays(tmp_path, "odd", *scene(height, width), PALETTE)
        assert {Image.open(tmp_path / file).size for file in files.values()} == {expected}


def test_colours_of_the_image_survive(tmp_path: Path):
    blue = np.zeros((20, 30, 3), np.uint8)
    blue[..., 2] = 200  # RGB
    labels = np.zeros((20, 30), np.uint8)
    files = write_overlays(tmp_path, "blue", blue, labels, labels, sure(labels), PALETTE)
    red, green, blue_value = Image.open(tmp_path / files["image"]).getpixel((5, 5))
    assert blue_value > 190 and red < 15 and green < 15


def test_masks_hold_the_palette_and_shrink_without_new_classes(tmp_path: Path):
    image, truth, prediction, confidence = scene(500, 1000)
    files = write_overlays(tmp_path, "a", image, truth, prediction, confidence, PALETTE)
    colours = np.asarray(Image.open(tmp_path / files["truth"]).convert("RGB"))
    assert set(map(tuple, colours.reshape(-1, 3).tolist())) == {
        (0, 0, 0),
        (10, 20, 30),
        (200, 100, 50),
    }
    assert colours[100, 10].tolist() == [10, 20, 30] and colours[2, 2].tolist() == [0, 0, 0]
    # Between 0 and 2 an interpolation would find 1.
    stripes = (np.arange(1000) // 3 % 2 * 2).astype(np.uint8) * np.ones((500, 1), np.uint8)
    files = write_overlays(tmp_path, "stripes", image, stripes, stripes, confidence, PALETTE)
    for kind in ("truth", "prediction"):
        assert set(np.unique(np.asarray(Image.open(tmp_path / files[kind])))) == {0, 2}
    drawn = mask_image(prediction, PALETTE).convert("RGB")
    assert drawn.getpixel((3, 260)) == (0, 250, 0)


def test_errors_are_red_ignored_pixels_dim_and_the_rest_grey():
    image, truth, prediction, _ = scene(64, 128)
    prediction[:8] = 2  # wrong where it is ignored: no error
    drawn = np.asarray(error_image(image, truth, prediction, 255).convert("RGB")).astype(int)
    wrong, ignored = (truth != prediction) & (truth != 255), truth == 255
    red, green, blue = np.moveaxis(drawn, 2, 0)
    assert ((red - green)[wrong] > 100).all() and (red == green)[~wrong].all()
    assert (green == blue)[~wrong].all()
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(int)
    right = ~wrong & ~ignored
    assert np.abs(red - grey)[right].max() <= 7
    assert np.abs(red - grey * 0.3)[ignored].max() <= 4


def test_confidence_is_read_off_the_place_in_the_palette():
    values = np.array([[0.0, 0.25, 0.5, 0.993, 1.0, np.nextafter(1, 2)]], np.float32)
    drawn = confidence_image(values)
    assert np.abs(np.asarray(drawn) / 255 - np.minimum(values, 1)).max() <= 0.01
    palette = np.reshape(drawn.getpalette(), (256, 3)).astype(int)
    light = palette @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > -1).all() and light[-1] - light[0] > 190, "one order, grey too"
    assert palette[0].tolist() == [68, 1, 84] and palette[255].tolist() == [253, 231, 37]


def test_a_file_that_is_no_image_is_named(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"no image")
    for name in ("a.png", "missing.png"):
        with pytest.raises(UserError, match=name):
            read_rgb(tmp_path / name)

"""Labels whose values a lossy format or a change of size has blurred."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_data import COLORS, OwnData
from PIL import Image

from isnet.errors import UserError

SQUARE = np.zeros((64, 96), np.uint8)
SQUARE[13:45, 13:45], SQUARE[13:45, 66:] = 1, 2


def _own(root: Path, form: str, pixels: np.ndarray[Any, Any], **keys: Any) -> OwnData:
    """Make a data set whose labels are JPEG files of these pixels."""
    own = OwnData(root, form, label="masks/{split}/{name}.jpg", **keys)
    for split in ("train", "val"):
        own.write(split, "one", SQUARE)
        Image.fromarray(pixels).save(own.label(split, "one"), quality=75)
    return own


def _colors(root: Path, **keys: Any) -> OwnData:
    return _own(root, "colors", np.array(COLORS, np.uint8)[SQUARE], **keys)


def _convert(own: OwnData) -> np.ndarray[Any, Any]:
    own.convert()
    return np.asarray(Image.open(own.labels / "train/one.png"))


def test_a_jpeg_label_is_refused_with_the_key_that_takes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        _colors(tmp_path).convert()
    assert str(raised.value).endswith(
        "one.jpg: is a JPEG file, needed is PNG, BMP, TIFF, GIF. JPEG changes values at edges: save "
        "the original as PNG; without one, write `tolerance: 64` in datasets/own.yaml to take the "
        "nearest class"
    )


def test_blurred_colours_become_the_nearest_class_or_are_ignored(tmp_path: Path) -> None:
    own = _colors(tmp_path, tolerance=60)
    made = _convert(own)
    taken = made != 255
    np.testing.assert_array_equal(made[taken], SQUARE[taken])
    far = np.count_nonzero(~taken)
    assert 0 < far < 0.1 * made.size
    share = f"{far / made.size:.2%}"
    assert own.messages[0] == (
        f"{share} of the label pixels are ignored: farther than `tolerance: 60` from every class"
    )


def test_with_many_far_pixels_a_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown label color .* or raise `tolerance: 1` in dat"):
        _colors(tmp_path, tolerance=1).convert()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_blurred_mask_of_0_and_255_has_the_nearest_id(mode: str, tmp_path: Path) -> None:
    mask = np.where(SQUARE == 1, 255, 0).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(mask).convert(mode))
    classes = ["ground", {"name": "cat", "id": 255}]
    own = _own(tmp_path, "ids", pixels, classes=classes, ignore=[], tolerance=128)
    np.testing.assert_array_equal(_convert(own), SQUARE == 1)


def test_the_tolerance_decides_which_labels_are_made(tmp_path: Path) -> None:
    digests = {_colors(tmp_path, **keys).table.digest for keys in ({}, {"tolerance": 60}, {"tolerance": 61})}  # fmt: skip
    assert len(digests) == 3
    assert _colors(tmp_path).table.digest == OwnData(tmp_path, "colors").table.digest


def test_ids_that_blur_would_mix_have_no_tolerance(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ids that lie 16 or more apart"):
        OwnData(tmp_path, "ids", tolerance=64)

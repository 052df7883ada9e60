"""`isnet.load(...).predict(...)`: the same labels for every kind of input, one line for wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import isnet


@pytest.fixture(scope="module")
def model(weights: Path) -> isnet.SegmentationModel:
    return isnet.load(str(weights), device="cpu")


@pytest.fixture(scope="module")
def picture() -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    return noise.repeat(8, 0).repeat(8, 1)


def test_every_kind_of_image_is_predicted_alike(
    model: isnet.SegmentationModel, picture: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(picture).save(file)
    transparent = Image.fromarray(picture).convert("RGBA")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    given = [file, str(file), Image.open(file), transparent, picture, tensor, tensor / 255]
    results = model.predict(given)
    assert len(results) == len(given)
    expected = model.predict(picture)
    for result in results:
        assert (result.image == picture).all()
        assert (result.labels == expected.labels).all()
        assert (result.confidence == expected.confidence).all()


def test_a_result_has_ids_scores_names_colours_and_an_overlay(
    model: isnet.SegmentationModel, picture: np.ndarray[Any, Any]
) -> None:
    result = model.predict(picture)
    assert result.labels.shape == result.confidence.shape == picture.shape[:2]
    assert list(result.classes) == list(model.classes) and len(model.palette) == len(model.classes)
    assert sum(score["share"] for score in result.scores.values()) == pytest.approx(1)
    assert (np.asarray(result.mask) == result.labels).all()
    assert result.overlay.size == (picture.shape[1], picture.shape[0])
    colours = np.asarray(result.palette, np.uint8)[result.labels]
    mixed = (picture.astype(int) + colours) / 2
    assert np.abs(np.asarray(result.overlay) - mixed).max() <= 1


def test_an_image_is_predicted_as_it_is_displayed(model: isnet.SegmentationModel) -> None:
    image = Image.new("L", (96, 64), 128)
    image.getexif()[0x0112] = 6  # rotated by a quarter
    assert model.predict(image).labels.shape == (96, 64)
    grey = np.full((64, 96), 7, np.uint8)
    assert (model.predict(grey).image == 7).all()
    assert (model.predict(torch.from_numpy(grey)[None]).image == 7).all()


@pytest.mark.parametrize(
    ("image", "line"),
    [
        (3, "a int is no image"),
        (np.zeros((64, 64, 3)), "values of float64"),
        (np.zeros((3, 64, 64), np.uint8), r"shape \(3, 64, 64\)"),
        (np.zeros((0, 64, 3), np.uint8), r"shape \(0, 64, 3\)"),
        (torch.zeros(1, 3, 64, 64), r"shape \(1, 3, 64, 64\). Give \(3, H, W\)"),
        (torch.full((3, 64, 64), 2.0), r"outside of 0\.\.1"),
        (torch.full((3, 64, 64), torch.nan), r"outside of 0\.\.1"),
        (Image.new("I;16", (64, 64)), "mode I;16"),
        ("nothing.png", "nothing.png: No such file"),
        ([np.zeros((64, 64), np.uint8), None], "image 1 of the list: a NoneType is no image"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(
    model: isnet.SegmentationModel, image: Any, line: str
) -> None:
    with pytest.raises(isnet.UserError, match=line) as error:
        model.predict(image)
    assert "\n" not in str(error.value)


def test_an_unknown_device_is_refused(weights: Path) -> None:
    with pytest.raises(isnet.UserError, match="no device 'cuda'"):
        isnet.load(weights, device="cuda")  # type: ignore[arg-type]


def test_a_truncated_pillow_image_is_named_in_a_list(
    tmp_path: Path, model: isnet.SegmentationModel
) -> None:
    file = tmp_path / "whole.jpg"
    Image.effect_noise((64, 64), 90).save(file)
    file.write_bytes(file.read_bytes()[:600])
    with pytest.raises(
        isnet.UserError, match="image 0 of the list: the Pillow image cannot be read"
    ):
        model.predict([Image.open(file)])

"""Images of more than 8 bits are the same in every room: mapped by the range of the training."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from log_lines import record_log
from own_data import OwnData
from PIL import Image
from small_weights import CONFIG, write_small_weights

import isnet
from isnet.checkpoints.weights_formats import open_weights
from isnet.cli import main
from isnet.data.loading.crop_and_flip import LoadRandomCrop
from isnet.data.loading.manifest_dataset import ManifestDataset
from isnet.data.packed.packing import pack_dataset
from isnet.errors import UserError
from isnet.inference.export.export_check import given_images
from isnet.inference.export.exported_network import export_metadata
from isnet.inference.given_weights import load_given_weights
from isnet.inference.model_config import deployed_model
from isnet.inference.model_loader import open_model
from isnet.inference.serving.pyfunc_model import RefusedRequestError, ServedModel
from isnet.pipeline.training_files import describe_weights
from isnet.settings.config_file import read_config
from isnet.settings.experiment import resolve
from isnet.settings.params import Run

RANGE = (100.0, 4000.0)
CROP = {"scale": (24, 16), "ratio_range": (1.0, 1.0), "crop_size": (16, 24), "flip": 0.0}
Values = npt.NDArray[np.uint16]


def _photo(seed: str, size: tuple[int, int] = (16, 24)) -> Values:
    noise = np.random.default_rng(list(seed.encode()))
    return noise.integers(0, 5000, (*size, 3)).astype(np.uint16)


def _eight(values: Values) -> npt.NDArray[np.uint8]:
    return np.rint((values.clip(*RANGE) - RANGE[0]) * (255 / np.diff(RANGE))).astype(np.uint8)


@pytest.fixture
def own(tmp_path: Path) -> OwnData:
    own = OwnData(tmp_path, range=list(RANGE))
    for split in ("train", "val"):
        own.write(split, "one")
        cv2.imwrite(str(own.image(split, "one")), _photo(split))
    manifest, _ = own.convert()
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return own


def _dataset(own: OwnData, split: str, step: dict[str, Any], **keys: Any) -> ManifestDataset:
    manifest = str(own.data.parent / "manifest.json")
    return ManifestDataset(manifest, str(own.data), split, [step], **keys)


def test_training_evaluation_and_pack_read_the_same(own: OwnData) -> None:
    manifest = json.loads((own.data.parent / "manifest.json").read_text())
    folder = own.data / "store"
    assert not pack_dataset(manifest, folder, data=own.data, workers=1, show=lambda *_: None)
    crop = {"type": "LoadRandomCrop", **CROP}
    for step, store in ((crop, None), (crop, "store"), ({"type": "LoadImageFromFile"}, None)):
        read = _dataset(own, "train", step, store=store)[(0, 0, 0)]["img"]
        np.testing.assert_array_equal(read, _eight(_photo("train")), err_msg=str((step, store)))


def test_a_reader_with_arguments_is_refused(own: OwnData) -> None:
    step = {"type": "LoadImageFromFile", "to_float32": True}
    with pytest.raises(UserError, match="LoadImageFromFile with arguments reads no images of more"):
        _dataset(own, "val", step)


def test_a_record_without_a_range_is_read_as_before(own: OwnData) -> None:
    cv2.imwrite(str(own.image("val", "one")), np.full((16, 24, 3), 7, np.uint8))
    label = str(own.labels / "val/one.png")
    found = LoadRandomCrop(**CROP).transform(  # type: ignore[arg-type]
        {"img_path": str(own.image("val", "one")), "seg_map_path": label}
        | {"label_map": None, "reduce_zero_label": False}
    )
    assert (found["img"] == 7).all()


def _weights(file: Path, value_range: tuple[float, float] | None = RANGE) -> Path:
    return write_small_weights(file, lambda meta: meta["isnet"].update(range=value_range))


@pytest.fixture(scope="module")
def ranged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _weights(tmp_path_factory.mktemp("weights") / "deep.pth")


def test_the_weights_of_a_run_state_the_range_of_its_data(own: OwnData) -> None:
    experiment = resolve("one", Run(dataset="streets", config=str(CONFIG)))
    environment = {"isnet": "0.1.0", "git_commit": None}
    manifest = json.loads((own.data.parent / "manifest.json").read_text())
    model = deployed_model(experiment.config)
    meta = describe_weights(experiment, model, manifest, {}, environment, "")
    assert tuple(meta["isnet"]["range"]) == RANGE


def test_a_folder_is_predicted_as_its_values_are_in_python(ranged: Path, tmp_path: Path) -> None:
    values = _photo("a", (64, 96))
    cv2.imwrite(str(tmp_path / "a.tif"), values)
    words = ["predict", str(ranged), str(tmp_path / "a.tif"), "--device", "cpu"]
    assert main([*words, "--output", str(tmp_path / "found")]) == 0
    (mask,) = (tmp_path / "found").rglob("*.png")
    labels = isnet.load(ranged, device="cpu").predict(values[..., ::-1]).labels
    np.testing.assert_array_equal(np.asarray(Image.open(mask)), labels)


@pytest.mark.parametrize("kind", ["u2", "i4", "f4"])
def test_python_maps_files_arrays_and_pillow_images_by_the_range_of_the_weights(
    ranged: Path, kind: str, tmp_path: Path
) -> None:
    model = isnet.load(ranged, device="cpu")
    values = _photo("a", (64, 96)).astype(kind)
    wanted = _eight(values)
    np.testing.assert_array_equal(model.predict(values).image, wanted)
    grey = Image.fromarray(values[..., 0])
    np.testing.assert_array_equal(model.predict(grey).image[..., 1], wanted[..., 0])
    grey.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(model.predict(tmp_path / "a.tif").image[..., 2], wanted[..., 0])
    eight = np.full((64, 96), 9, np.uint8)
    assert (model.predict(eight).image == 9).all()


def test_an_export_reads_and_describes_the_range(ranged: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), _photo("a", (64, 96)))
    model = open_model(ranged)
    [image], _ = given_images([tmp_path], model.metadata.pixel_format)
    wanted = torch.from_numpy(_eight(_photo("a", (64, 96)))[..., ::-1].copy())
    assert torch.equal(image[0].permute(1, 2, 0), wanted)
    assert json.loads(export_metadata(model)["range"]) == list(RANGE)


def _request(content: bytes) -> Any:
    import pandas as pd

    return pd.DataFrame({"image": [base64.b64encode(content).decode()]})


def test_serving_reads_by_the_range_and_refuses_values_without_one(
    ranged: Path, weights: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "rgb.tif"), _photo("a", (64, 96)).astype("f4"))
    Image.fromarray(_photo("a", (64, 96))[..., 0].astype("f4")).save(tmp_path / "a.tif")
    for name in ("rgb.tif", "a.tif"):
        request = _request((tmp_path / name).read_bytes())
        assert ServedModel(open_model(ranged)).predict(request)["width"][0] == 96
    with pytest.raises(RefusedRequestError, match="image 1 of 1: has mode F, and no range says"):
        ServedModel(open_model(weights)).predict(request)


def test_floats_without_a_range_are_refused_by_name(weights: Path, tmp_path: Path) -> None:
    Image.fromarray(np.ones((64, 64), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=r"a\.tif: has mode F, and no range says .* with 8 bits"):
        isnet.load(weights, device="cpu").predict(tmp_path / "a.tif")


def test_weights_of_another_range_are_not_scored(ranged: Path) -> None:
    metadata = open_model(ranged).metadata
    config = read_config(CONFIG, "test")
    manifest = {"classes": metadata.classes}
    messages = record_log()
    for same in ({"range": list(RANGE)}, {}):
        assert not messages
        load_given_weights(open_weights(ranged), "x", config, "the.py", manifest | same)
    assert "was trained with images of more than 8 bits; these have 8 bits" in messages[0]
    with pytest.raises(UserError, match=r"from 100 to 4000, .* Write `range: \[100\.0, 4000\.0\]`"):
        load_given_weights(
            open_weights(ranged), "x", config, "the.py", manifest | {"range": [0, 9]}
        )

"""Images of several bands are the same in every room, and so is the network's input."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tifffile
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from own_data import OwnData
from PIL import Image
from small_weights import CONFIG

import isnet
from isnet.checkpoints.weights_formats import open_weights
from isnet.cli import main
from isnet.data.loading.manifest_dataset import ManifestDataset
from isnet.data.packed.packing import pack_dataset
from isnet.errors import UserError
from isnet.images.pixel_format import Bands, PixelFormat
from isnet.inference.export.export_check import generated_images, given_images
from isnet.inference.export.exported_network import ExportedNetwork, export_metadata
from isnet.inference.given_weights import load_given_weights, with_own_statistics
from isnet.inference.label_prediction import predict
from isnet.inference.model_config import deployed_model
from isnet.inference.model_loader import open_model
from isnet.inference.serving.pyfunc_model import RefusedRequestError, ServedModel
from isnet.pipeline.training_files import describe_weights
from isnet.settings.config_file import read_config
from isnet.settings.experiment import Experiment, resolve
from isnet.settings.params import Run

BANDS = 5
CROP = {"scale": (24, 16), "ratio_range": (1.0, 1.0), "crop_size": (16, 24), "flip": 0.0}
Values = npt.NDArray[Any]


def _photo(seed: int, size: tuple[int, int] = (16, 24)) -> Values:
    noise = np.random.default_rng(seed).normal(100, 9, (*size, BANDS))
    return (noise * [1, 2, 5, 50, 100]).astype(np.uint16)


def _write(path: Path, image: Values) -> Path:
    tifffile.imwrite(path, image, photometric="minisblack", planarconfig="contig")
    return path


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> OwnData:
    init_default_scope("mmseg")
    folder = tmp_path_factory.mktemp("own")
    own = OwnData(folder, image="images/{split}/{name}.tif", bands=BANDS)
    for seed, split in enumerate(("train", "val")):
        own.write(split, "one")
        _write(own.image(split, "one", ".tif"), _photo(seed))
    manifest, _ = own.convert()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return own


@pytest.fixture(scope="module")
def manifest(own: OwnData) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((own.data.parent / "manifest.json").read_text())
    return found


@pytest.fixture(scope="module")
def experiment(manifest: dict[str, Any]) -> Experiment:
    run = Run(dataset="own", config=str(CONFIG))
    found = resolve("one", run, classes=3, channels=BANDS)
    return found.with_statistics(PixelFormat.of(manifest).bands)


@pytest.fixture(scope="module")
def band_weights(
    manifest: dict[str, Any], experiment: Experiment, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A weights file of an untrained network, as `isnet train` writes it."""
    from mmseg.registry import MODELS

    file = tmp_path_factory.mktemp("weights") / "bands.pth"
    model = deployed_model(experiment.config)
    torch.manual_seed(0)
    tensors = MODELS.build(copy.deepcopy(model)).state_dict()
    environment = {"isnet": "0.1.0", "git_commit": None}
    meta = describe_weights(experiment, model, manifest, {"run": "x"}, environment, "")
    torch.save({"state_dict": tensors, "meta": meta}, file)
    return file


def _eight(manifest: dict[str, Any], values: Values) -> Values:
    return PixelFormat.of(manifest).to_8_bits(values)


def test_training_pack_and_evaluation_read_the_same(own: OwnData, manifest: dict[str, Any]) -> None:
    folder = own.data / "store"
    assert not pack_dataset(manifest, folder, data=own.data, workers=1, show=lambda *_: None)
    crop = {"type": "LoadRandomCrop", **CROP}
    file = str(own.data.parent / "manifest.json")
    for step, store in ((crop, None), (crop, "store"), ({"type": "LoadImageFromFile"}, None)):
        dataset = ManifestDataset(file, str(own.data), "train", [step], store=store)
        read = dataset[(0, 0, 0)]["img"]
        np.testing.assert_array_equal(read, _eight(manifest, _photo(0)), err_msg=str(store))


def test_the_network_gets_the_bands_by_their_measured_means_and_deviations(
    band_weights: Path, manifest: dict[str, Any]
) -> None:
    network = open_model(band_weights).network
    assert network.backbone.stem[0].in_channels == BANDS
    eight = torch.from_numpy(_eight(manifest, _photo(0))).permute(2, 0, 1)
    mean, std = (torch.tensor(manifest["bands"][key]).view(-1, 1, 1) for key in ("mean", "std"))
    for training in (False, True):
        label = PixelData(data=torch.zeros(1, 16, 24, dtype=torch.uint8))
        data = {"inputs": [eight], "data_samples": [SegDataSample(gt_sem_seg=label)]}
        x = network.data_preprocessor(data, training)["inputs"][0]
        torch.testing.assert_close(x[:, :16, :24], (eight - mean) / std)


def test_files_arrays_tensors_and_requests_are_predicted_alike(
    band_weights: Path, manifest: dict[str, Any], tmp_path: Path
) -> None:
    values = _photo(7, (64, 96))
    file, eight = _write(tmp_path / "a.tif", values), _eight(manifest, values)
    model = isnet.load(band_weights, device="cpu")
    found = model.predict(file)
    np.testing.assert_array_equal(found.image, eight)
    tensor = torch.from_numpy(eight).permute(2, 0, 1)
    for same in (values, eight, tensor, tensor / 255):
        np.testing.assert_array_equal(model.predict(same).labels, found.labels)
    assert found.overlay.size == (96, 64) and found.overlay.mode == "RGB"
    words = ["predict", str(band_weights), str(file), "--device", "cpu", "--overlay"]
    assert main([*words, "--output", str(tmp_path / "found")]) == 0
    mask = next(path for path in (tmp_path / "found").rglob("*.png"))
    np.testing.assert_array_equal(np.asarray(Image.open(mask)), found.labels)
    request = pd.DataFrame({"image": [base64.b64encode(file.read_bytes()).decode()]})
    assert ServedModel(open_model(band_weights)).predict(request)["width"][0] == 96


def test_images_without_the_bands_are_refused(band_weights: Path, tmp_path: Path) -> None:
    model = isnet.load(band_weights, device="cpu")
    grey = Image.fromarray(np.zeros((64, 64), np.uint8))
    grey.save(tmp_path / "a.png")
    for wrong, message in (
        (np.zeros((9, 9, 3), np.uint16), r"has the shape \(9, 9, 3\). Give \(H, W, 5\)"),
        (torch.zeros(3, 9, 9), r"has the shape \(3, 9, 9\). Give \(5, H, W\)"),
        (grey, "a Pillow image has no 5 bands"),
        (tmp_path / "a.png", r"a\.png: is no TIFF"),
    ):
        with pytest.raises(UserError, match=message):
            model.predict(wrong)
    request = pd.DataFrame(
        {"image": [base64.b64encode((tmp_path / "a.png").read_bytes()).decode()]}
    )
    with pytest.raises(RefusedRequestError, match="image 1 of 1: is no TIFF"):
        ServedModel(open_model(band_weights)).predict(request)


def test_an_export_takes_and_describes_the_bands(band_weights: Path, tmp_path: Path) -> None:
    model = open_model(band_weights)
    _write(tmp_path / "a.tif", _photo(7, (64, 96)))
    [image], _ = given_images([tmp_path], model.metadata.pixel_format)
    labels, _ = ExportedNetwork(model).eval()(image)
    x = model.network.data_preprocessor({"inputs": [image[0]]}, False)["inputs"]
    wanted = predict(model.network, x, (64, 96), model.protocol.single_scale)
    assert (labels == wanted).float().mean() > 0.999
    described = export_metadata(model)
    assert "uint8 (N, 5, H, W), the `numbers` of `bands`" in described["input"]
    assert json.loads(described["bands"])["numbers"] == [1, 2, 3, 4, 5]
    assert [one.shape[1] for one in generated_images(2)[0]] == [2] * 4


def test_weights_of_other_bands_are_not_scored(
    band_weights: Path, weights: Path, manifest: dict[str, Any], experiment: Experiment
) -> None:
    load_given_weights(open_weights(band_weights), "x", experiment.config, "the.py", manifest)
    colours = {**manifest, "bands": None}
    with pytest.raises(UserError, match="was trained with bands 5, and the data set has colours"):
        load_given_weights(open_weights(band_weights), "x", experiment.config, "the.py", colours)
    ranges = [[0, 9]] * BANDS
    other = {**manifest, "bands": manifest["bands"] | {"ranges": ranges}}
    with pytest.raises(UserError, match=r"Write `range: \[\["):
        load_given_weights(open_weights(band_weights), "x", experiment.config, "the.py", other)


def test_equal_numbers_of_bands_are_the_same_bands(
    band_weights: Path, manifest: dict[str, Any], experiment: Experiment
) -> None:
    chosen = {**manifest, "bands": manifest["bands"] | {"total": None}}
    load_given_weights(open_weights(band_weights), "x", experiment.config, "the.py", chosen)
    other = {**manifest, "bands": manifest["bands"] | {"numbers": [2, 1, 3, 4, 5]}}
    with pytest.raises(UserError, match=r"was trained with bands 5, and the data set"):
        load_given_weights(open_weights(band_weights), "x", experiment.config, "the.py", other)


def test_three_bands_are_a_photograph(weights: Path, tmp_path: Path) -> None:
    content, config = torch.load(weights, weights_only=True), read_config(CONFIG, "test")
    three = Bands.of(3).model_copy(update={"ranges": ((0.0, 9.0),) * 3})
    bands, classes = {"bands": three.model_dump()}, content["meta"]["isnet"]["classes"]
    ranged = tmp_path / "ranged.pth"
    content["meta"]["isnet"]["range"] = (0.0, 9.0)
    torch.save(content, ranged)
    load_given_weights(open_weights(ranged), "x", config, "the.py", {"classes": classes} | bands)
    band_weights = tmp_path / "band_weights.pth"
    content["meta"]["isnet"] |= {"range": None} | bands
    torch.save(content, band_weights)
    load_given_weights(
        open_weights(band_weights), "x", config, "the.py", {"classes": classes, "range": [0, 9]}
    )
    with pytest.raises(UserError, match=r"Write `range: \[0\.0, 9\.0\]` in"):
        load_given_weights(
            open_weights(band_weights), "x", config, "the.py", {"classes": classes, "range": [0, 8]}
        )


def test_bands_that_this_version_does_not_know_are_one_error(weights: Path, tmp_path: Path) -> None:
    content, file = torch.load(weights, weights_only=True), tmp_path / "newer.pth"
    content["meta"]["isnet"]["bands"] = Bands.of(4).model_dump() | {"odd": 1}
    torch.save(content, file)
    with pytest.raises(UserError, match=r"newer\.pth: its metadata is damaged: bands\.odd: "):
        with_own_statistics({}, open_weights(file))
    with pytest.raises(UserError, match=r"newer\.pth: its metadata is damaged: bands\.odd: "):
        load_given_weights(open_weights(file), "x", {}, "the.py", {"classes": []})

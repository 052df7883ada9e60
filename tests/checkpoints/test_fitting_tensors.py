"""What fits of a file from elsewhere starts a training; the rest is named, and too little is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from official_models import Official
from safetensors.torch import save_file
from torch import Tensor, nn

from isnet.checkpoints.fitting_tensors import Fit, extend_filters, load_all, load_start
from isnet.checkpoints.tensor_names import official_name
from isnet.checkpoints.weights_formats import open_weights
from isnet.errors import UserError
from isnet.inference.model_config import deployed_model
from isnet.mmseg_import import import_mmseg

DEMO = "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py"
CLASSIFIERS = [
    *("decode_head.decoder_stage1.2", "decode_head.decoder_stage2.2"),
    "auxiliary_head.conv_seg",
]


def build(**head: Any) -> nn.Module:
    """The demo's network, fused as in the paper, with weights of its own."""
    import_mmseg()
    torch.manual_seed(1)
    model = deployed_model(Config.fromfile(DEMO).to_dict())
    model["decode_head"].update({"fusion": "paper", **head})
    network: nn.Module = MODELS.build(model)
    return network


@pytest.fixture(scope="module")
def other() -> dict[str, Tensor]:
    """Weights of another training of the demo's network."""
    torch.manual_seed(2)
    return {
        name: torch.randn_like(value) if value.is_floating_point() else value + 7
        for name, value in build().state_dict().items()
    }


def start(content: object, folder: Path, name: str = "x.pth") -> tuple[nn.Module, Fit]:
    torch.save(content, folder / name)
    network = build()
    return network, load_start(network, open_weights(folder / name))


def backbone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix("backbone."): value
        for name, value in tensors.items()
        if name.startswith("backbone.")
    }


def deep_stem_of_timm(name: str) -> str:
    name = re.sub(r"^stem\.7\.", "bn1.", name)
    return re.sub(r"^stem\.(\d)\.", r"conv1.\1.", name)


@pytest.mark.parametrize("form", ["isnet", "mmseg", "bare", "DDP", "official"])
def test_a_whole_model_is_loaded_whatever_its_names(
    form: str, other: dict[str, Tensor], tmp_path: Path
) -> None:
    content = {
        "isnet": {"state_dict": other, "meta": {"config": ""}},
        "mmseg": {"state_dict": other, "meta": {"cfg": ""}, "optimizer": {"state": {}}},
        "bare": other,
        "DDP": {"state_dict": {f"module.{name}": value for name, value in other.items()}},
        "official": {"model": {official_name(name): value for name, value in other.items()}},
    }[form]
    network, fit = start(content, tmp_path)
    assert fit.describe() == f"{len(other)} of {len(other)} tensors"
    for name, value in network.state_dict().items():
        assert value.equal(other[name]), name


@pytest.mark.parametrize("form", ["torchvision", "timm", "safetensors"])
def test_a_file_of_a_backbone_alone_is_loaded(
    form: str, other: dict[str, Tensor], tmp_path: Path
) -> None:
    tensors = backbone(other) | {"fc.weight": torch.ones(1000, 256), "fc.bias": torch.ones(1000)}
    if form == "timm":
        tensors = {deep_stem_of_timm(name): value for name, value in tensors.items()}
    if form == "safetensors":
        save_file(tensors, tmp_path / "x.safetensors")
        network = build()
        fit = load_start(network, open_weights(tmp_path / "x.safetensors"))
    else:
        network, fit = start(tensors, tmp_path)
    assert sorted(fit.unused) == ["fc.bias", "fc.weight"]
    assert fit.describe().endswith(f"; not in the model: {', '.join(fit.unused)}")
    before = build().state_dict()
    for name, value in network.state_dict().items():
        expected = other if name.startswith("backbone.") else before
        assert value.equal(expected[name]), name


def test_a_damaged_safetensors_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(4)}, file)
    assert open_weights(file).tensors["a"].equal(torch.ones(4))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="or is damaged"):
        open_weights(file)


def test_classifiers_of_other_classes_are_made_anew(
    other: dict[str, Tensor], tmp_path: Path
) -> None:
    parts = [f"{name}.{kind}" for name in CLASSIFIERS for kind in ("weight", "bias")]
    count = len(other[parts[1]])
    content = {
        name: value.repeat(2, *[1] * (value.dim() - 1)) if name in parts else value
        for name, value in other.items()
    }
    network, fit = start({"state_dict": content}, tmp_path)
    before = build().state_dict()
    for name, value in network.state_dict().items():
        assert value.equal((before if name in parts else other)[name]), name
    assert sorted(name.split()[0] for name in fit.unfilled) == sorted(parts)
    assert f"conv_seg.bias ({count}, in the file {2 * count})" in " ".join(fit.unfilled)
    assert f"{len(other) - 6} of {len(other)} tensors; made anew: " in fit.describe()
    assert " and 1 more" in fit.describe()


def test_heads_that_only_one_side_has_are_named(other: dict[str, Tensor], tmp_path: Path) -> None:
    content = {name.replace("auxiliary_head", "third_head"): value for name, value in other.items()}
    _, fit = start({"state_dict": content}, tmp_path)
    assert "made anew: auxiliary_head." in fit.describe()
    assert "not in the model: third_head." in fit.describe()


@pytest.mark.parametrize("model", [Official(), Official(depth=18)])
def test_another_architecture_is_refused_with_names_of_both_sides(
    model: Official, tmp_path: Path
) -> None:
    torch.save({"model": model.build().state_dict()}, tmp_path / "x.pth")
    network = build()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(UserError, match=r"fits only \d+ of the \d+ tensors of the model's backbone: it has backbone_net.stem.0.weight, .*; the model has backbone.stem.0.weight") as told:  # fmt: skip
        load_start(network, open_weights(tmp_path / "x.pth"))
    assert "\n" not in str(told.value)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("load", [load_start, lambda model, file: load_all(model, file, "demo")])
@pytest.mark.parametrize("form", ["isnet", "official", "mmseg"])
def test_weights_of_another_fusion_are_refused(
    form: str, load: Callable[..., Fit], other: dict[str, Tensor], tmp_path: Path
) -> None:
    """They would fit by name and shape, and predict nonsense."""
    described = {"isnet": {"model": {"decode_head": {"fusion": "residual"}}}, "config": ""}
    torch.save(
        {
            "isnet": {"state_dict": other, "meta": described},
            "official": {"model": {official_name(name): value for name, value in other.items()}},
            "mmseg": {"state_dict": other, "meta": {"cfg": "head = dict(type='ISNetHead')"}},
        }[form],
        tmp_path / "x.pth",
    )
    file = open_weights(tmp_path / "x.pth")
    theirs, ours = ("residual", "paper") if form == "isnet" else ("paper", "residual")
    with pytest.raises(UserError, match=f"fusion '{theirs}', and the model has '{ours}'"):
        load(build(fusion=ours), file)
    load(build(fusion=theirs), file)


def test_a_file_that_says_nothing_of_its_fusion_is_accepted(
    other: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save(other, tmp_path / "x.pth")
    load_all(build(fusion="residual"), open_weights(tmp_path / "x.pth"), "demo")
    text = "head = dict(fusion='residual', type='ISNetHead')"
    torch.save({"state_dict": other, "meta": {"cfg": text}}, tmp_path / "x.pth")
    load_all(build(fusion="residual"), open_weights(tmp_path / "x.pth"), "demo")


def test_a_backbone_alone_starts_any_fusion(other: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(backbone(other), tmp_path / "x.pth")
    assert load_start(build(fusion="residual"), open_weights(tmp_path / "x.pth")).tensors


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_filters_of_colours_are_extended_as_timm_does(channels: int) -> None:
    from timm.models import adapt_input_conv

    filters = torch.randn(8, 3, 3, 3)
    wanted = adapt_input_conv(channels, filters.clone())
    torch.testing.assert_close(extend_filters(filters, channels), wanted)


def test_a_start_is_extended_and_said_and_a_scored_file_is_not(
    other: dict[str, Tensor], tmp_path: Path
) -> None:
    model = deployed_model(Config.fromfile(DEMO).to_dict())
    model["decode_head"]["fusion"] = "paper"
    model["backbone"]["in_channels"] = 4
    network = MODELS.build(model)
    torch.save(other, tmp_path / "x.pth")
    file = open_weights(tmp_path / "x.pth")
    fit = load_start(network, file, only_backbone=True)
    stem = "backbone.stem.0.weight"
    torch.testing.assert_close(network.state_dict()[stem], extend_filters(other[stem], 4))
    assert f"{stem} extended from 3 to 4 channels" in fit.describe()
    count = "backbone.stem.1.num_batches_tracked"
    torch.save({**other, count: torch.zeros(1)}, tmp_path / "y.pth")  # ours has no dimension
    assert count not in load_start(network, open_weights(tmp_path / "y.pth")).tensors
    with pytest.raises(UserError, match=r"16x4x3x3, in the file 16x3x3x3"):
        load_all(network, file, "it")

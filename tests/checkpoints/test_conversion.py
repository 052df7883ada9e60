"""Official and mmseg checkpoints come in and go out: every tensor, bit for bit, with the same logits."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from official_models import Case, Official, official_logits, published_r50, random_tensors
from repository import REPOSITORY
from torch import Tensor

from isnet.checkpoints.tensor_names import official_name
from isnet.cli import main
from isnet.cli.commands.weights import _build_on_meta
from isnet.inference.model_config import deployed_model
from isnet.mmseg_import import import_mmseg
from isnet.settings.config_file import read_config

import_mmseg()

SMALL = dict(width=8, stem=8, channels=32, transform=16)
SMALL_R50 = Official(**SMALL)
SMALL_LIP = Official(depth=18, classes=20, lip=True, **SMALL)
SMALL_S50 = Official(split=True, classes=7, **(SMALL | {"stem": 16}))
CONFIGS = REPOSITORY / "isnet/configs"
S101 = dict(depth=101, split=True, stem=128)
LIP = dict(classes=20, lip=True)
PUBLISHED = {
    "isnet_res50_8xb2-81840_cityscapes-512x1024": Official(),
    "isnet_res50_8xb2-164190_ade20k-512x512": Official(classes=150),
    "isnet_res50_8xb2-61820_cocostuff10k-512x512": Official(classes=182),
    "isnet_res50_8xb4-142800_lip-473x473": Official(**LIP),
    "isnet_res101_8xb2-81840_cityscapes-512x1024": Official(depth=101),
    "isnet_res101_8xb4-142800_lip-473x473": Official(depth=101, **LIP),
    "isnet_resnest101_8xb2-81840_cityscapes-512x1024": Official(**S101),
    "isnet_resnest101_8xb5-114150_lip-473x473": Official(**S101, **LIP),
}


def bits(tensor: Tensor) -> tuple[Any, ...]:
    return (
        tensor.dtype,
        tuple(tensor.shape),
        tensor.contiguous().view(-1).view(torch.uint8).tolist(),
    )


def same_bits(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(bits(left[one]) == bits(right[one]) for one in left)


def isnet(*words: object) -> int:
    return main(["weights", *map(str, words)])


def bring(case: Case, ours: Path, *words: str) -> dict[str, Any]:
    assert isnet("import", case.official, "--config", case.config, "--output", ours, *words) == 0
    return torch.load(ours, weights_only=True)


def test_the_published_file_has_the_tensors_of_the_authors_package() -> None:
    assert len(published_r50()) == 438
    assert Official().shapes() == published_r50()


@pytest.mark.parametrize("config", PUBLISHED)
def test_each_official_model_has_the_names_and_shapes_of_our_config(config: str) -> None:
    path = CONFIGS / f"{config}.py"
    ours = _build_on_meta(read_config(path, config), path).state_dict()
    assert {official_name(name): tuple(value.shape) for name, value in ours.items()} == (
        PUBLISHED[config].shapes()
    )


def test_all_438_tensors_of_a_full_size_file_come_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Views of one element each: full shapes without the 200 MB.
    tensors = {
        name: torch.zeros(
            (), dtype=torch.int64 if name.endswith("tracked") else torch.float32
        ).expand(shape)
        for name, shape in published_r50().items()
    }
    torch.save({"model": tensors}, tmp_path / "official.pth")
    config = CONFIGS / "isnet_res50_8xb2-81840_cityscapes-512x1024.py"
    assert (
        isnet(
            "import",
            tmp_path / "official.pth",
            "--config",
            config,
            "--output",
            tmp_path / "ours.pth",
        )
        == 0
    )
    learned = sum(
        math.prod(shape)
        for name, shape in published_r50().items()
        if name.endswith(("weight", "bias"))
    )
    assert f"official (model), 438 tensors, {learned:,} parameters" in capsys.readouterr().out


def test_weights_of_lip_and_coco_stuff_come_in_with_classes_and_left_and_right(
    make_case: Callable[[Official], Case], tmp_path: Path
) -> None:
    def described(data: str, classes: int) -> dict[str, Any]:
        case = make_case(Official(depth=18, classes=classes, lip=data == "lip", **SMALL))
        dataset = f"dict(type='ManifestDataset', manifest='results/datasets/{data}/manifest.json')"
        text = case.config.read_text()
        case.config.write_text(text.replace('dict(type="CityscapesDataset")', dataset))
        meta = bring(case, tmp_path / f"{data}{classes}.pth")["meta"]
        assert meta["dataset_meta"]["classes"] == meta["isnet"]["classes"]
        assert len(meta["isnet"]["classes"]) == len(meta["isnet"]["palette"]) == classes
        return meta["isnet"]

    lip = described("lip", 20)
    assert lip["flip_pairs"] == [(14, 15), (16, 17), (18, 19)]
    assert lip["classes"][14] == "Left-arm"
    for classes in (182, 171):
        assert described("cocostuff10k", classes)["flip_pairs"] == []


@pytest.mark.parametrize("model", [SMALL_R50, SMALL_LIP, SMALL_S50], ids=["r50", "lip", "resnest"])
def test_imported_logits_are_those_of_the_authors_modules(
    model: Official, make_case: Callable[[Official], Case], tmp_path: Path
) -> None:
    case = make_case(model)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, 65, 97, dtype=torch.float64, generator=generator)
    bring(case, tmp_path / "ours.pth")
    config = Config.fromfile(case.config, import_custom_modules=False).to_dict()
    imported = MODELS.build(deployed_model(config)).double()
    imported.load_state_dict(torch.load(tmp_path / "ours.pth", weights_only=True)["state_dict"])
    imported.eval()
    with torch.no_grad():
        maps = imported.backbone(images)
        actual = (*imported.decode_head(maps), imported.auxiliary_head(maps))
        expected = official_logits(case.author.double(), images)
    assert len(expected[0].argmax(1).unique()) > 1  # several classes, so their centres matter
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("model", [SMALL_R50, SMALL_LIP, SMALL_S50], ids=["r50", "lip", "resnest"])
def test_official_weights_come_back_bit_for_bit(
    model: Official, make_case: Callable[[Official], Case], tmp_path: Path
) -> None:
    case = make_case(model)
    ours, back = tmp_path / "ours.pth", tmp_path / "back.pth"
    bring(case, ours)
    assert (
        isnet("export", ours, "--config", case.config, "--format", "official", "--output", back)
        == 0
    )
    assert same_bits(torch.load(back, weights_only=True)["model"], case.tensors)


def test_mmseg_weights_come_back_bit_for_bit_with_their_classes(
    make_case: Callable[[Official], Case], tmp_path: Path
) -> None:
    case = make_case(SMALL_S50)
    tensors = bring(case, tmp_path / "first.pth")["state_dict"]
    dataset = {"classes": tuple("abcdefg"), "palette": [[n, n, n] for n in range(7)]}
    torch.save({"state_dict": tensors, "meta": {"dataset_meta": dataset}}, tmp_path / "mmseg.pth")
    ours, back = tmp_path / "ours.pth", tmp_path / "back.pth"
    assert isnet("import", tmp_path / "mmseg.pth", "--config", case.config, "--output", ours) == 0
    loaded = torch.load(ours, weights_only=True)
    assert loaded["meta"]["dataset_meta"]["classes"] == list("abcdefg")
    assert loaded["meta"]["source"]["kind"] == "mmseg"
    assert (
        isnet("export", ours, "--config", case.config, "--format", "mmseg", "--output", back) == 0
    )
    exported = torch.load(back, weights_only=True)
    assert same_bits(exported["state_dict"], tensors)
    assert exported["meta"]["dataset_meta"] == {
        "classes": list("abcdefg"),
        "palette": dataset["palette"],
    }


def test_mmsegs_own_tools_take_an_exported_checkpoint(
    make_case: Callable[[Official], Case], tmp_path: Path
) -> None:
    from mmseg.apis import init_model

    case = make_case(SMALL_R50)
    ours, back = tmp_path / "ours.pth", tmp_path / "back.pth"
    tensors = bring(case, ours)["state_dict"]
    assert (
        isnet("export", ours, "--config", case.config, "--format", "mmseg", "--output", back) == 0
    )
    config = Config.fromfile(case.config, import_custom_modules=False)
    config.model.backbone.norm_cfg = config.model.decode_head.norm_cfg = dict(type="BN")
    config.model.auxiliary_head.norm_cfg = dict(type="BN")
    model = init_model(config, str(back), device="cpu")
    assert same_bits(dict(model.state_dict()), tensors)
    assert model.dataset_meta["classes"][:2] == ["road", "sidewalk"]


def test_averaged_weights_are_taken_on_demand_or_where_there_are_no_others(
    make_case: Callable[[Official], Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make_case(SMALL_R50)
    averaged = random_tensors(case.tensors, seed=1)
    name = "decode_head.bottleneck.conv.weight"

    def taken(content: dict[str, Any], *words: str) -> Tensor:
        torch.save(content, case.official)
        (tmp_path / "ours.pth").unlink(missing_ok=True)
        return bring(case, tmp_path / "ours.pth", *words)["state_dict"][name]

    both = {"model": case.tensors, "model_ema": averaged}
    assert taken(both).equal(case.tensors["bottleneck.0.weight"])
    assert taken(both, "--ema").equal(averaged["bottleneck.0.weight"])
    assert taken({"model_ema": averaged}).equal(averaged["bottleneck.0.weight"])
    torch.save({"model": case.tensors}, case.official)
    assert (
        isnet(
            "import", case.official, "--config", case.config, "--output", tmp_path / "no", "--ema"
        )
        == 2
    )
    assert "has no averaged weights" in capsys.readouterr().err


def test_the_prefix_of_ddp_and_a_bare_state_dict_are_understood(
    make_case: Callable[[Official], Case], tmp_path: Path
) -> None:
    case = make_case(SMALL_R50)
    torch.save({f"module.{name}": value for name, value in case.tensors.items()}, case.official)
    ours = bring(case, tmp_path / "ours.pth")
    assert ours["meta"]["source"]["kind"] == "bare"
    assert ours["state_dict"]["decode_head.decoder_stage2.1.weight"].equal(
        case.tensors["decoder_stage2.1.weight"]
    )


def test_a_misfit_is_listed_and_nothing_is_written(
    make_case: Callable[[Official], Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make_case(SMALL_R50)
    wrong = dict(case.tensors)
    wrong["extra.weight"] = torch.zeros(3)
    wrong["decoder_stage1.4.bias"] = torch.zeros(150)
    gone = [name for name in wrong if name.startswith("backbone_net.layer3")]
    for name in gone:
        del wrong[name]
    torch.save({"model": wrong}, case.official)
    ours = tmp_path / "ours.pth"
    assert isnet("import", case.official, "--config", case.config, "--output", ours) == 2
    told = capsys.readouterr().err
    assert f"{len(gone)} missing, 1 unexpected, 1 mis-shaped" in told
    assert "missing: backbone_net.layer3.0.conv1.weight, backbone_net.layer3.0.bn1.weight, " in told
    assert f" and {len(gone) - 10} more\n" in told
    assert "unexpected: extra.weight\n" in told
    assert "mis-shaped: decoder_stage1.4.bias 150 where the model has 19\n" in told
    assert not ours.exists()


def test_a_public_mmseg_shortcut_is_listed_as_misfit(
    make_case: Callable[[Official], Case], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make_case(SMALL_LIP)
    tensors = bring(case, tmp_path / "ours.pth")["state_dict"]
    # mmseg's project fuses by a 3x3 convolution, and its shortcut convolution has no bias.
    del tensors["decode_head.shortcut.conv.bias"]
    tensors["decode_head.decoder_stage2.0.conv.weight"] = torch.zeros(32, 80, 3, 3)
    torch.save({"state_dict": tensors}, tmp_path / "mmseg.pth")
    assert (
        isnet("import", tmp_path / "mmseg.pth", "--config", case.config, "--output", tmp_path / "x")
        == 2
    )
    told = capsys.readouterr().err
    assert "missing: decode_head.shortcut.conv.bias\n" in told
    assert (
        "decode_head.decoder_stage2.0.conv.weight 32x80x3x3 where the model has 32x80x1x1" in told
    )


def test_a_file_that_is_there_is_not_overwritten(
    make_case: Callable[[Official], Case], capsys: pytest.CaptureFixture[str]
) -> None:
    case = make_case(SMALL_R50)
    before = case.official.read_bytes()
    assert isnet("import", case.official, "--config", case.config, "--output", case.official) == 2
    assert "exists already" in capsys.readouterr().err
    assert case.official.read_bytes() == before

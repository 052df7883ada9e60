"""Every config parses from any directory, builds, and agrees with its file name."""

from __future__ import annotations

import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from repository import REPOSITORY
from torch import nn

FOLDER = REPOSITORY / "isnet/configs"
FILES = sorted(path.name for path in FOLDER.glob("*.py"))
FLAGSHIP = "isnet_res50_8xb2-160k_cityscapes-512x1024.py"
NAME = re.compile(
    r"(?P<method>isnet|fcn)_((res|resnest)(?P<depth>\d+)(-half)?|(?P<encoder>[a-z0-9-]+-d(8|16)))_(?P<gpus>\d+)xb(?P<batch>\d+)"
    r"-(?P<iterations>\d+)(?P<thousand>k?)_(?P<dataset>\w+)-(?P<height>\d+)x(?P<width>\d+)\.py"
)
LIP = "isnet_res50_8xb4-142800_lip-473x473.py"


@cache
def read(name: str) -> Config:
    return Config.fromfile(FOLDER / name)


def load(name: str) -> Config:
    config = deepcopy(read(name))
    init_default_scope(config.default_scope)
    return config


def build(config: Config) -> Any:
    """Build the model without fetching pretrained weights."""
    config.model.pretrained = None
    return revert_sync_batchnorm(MODELS.build(config.model))


def transforms(config: Config, loader: str) -> dict[str, Any]:
    return {step["type"]: step for step in config[loader].dataset.pipeline}


@pytest.mark.parametrize("name", FILES)
def test_the_file_name_states_method_batch_iterations_and_crop(name: str) -> None:
    match = NAME.fullmatch(name)
    assert match, f"{name} does not follow the naming scheme"
    config = load(name)
    assert config.method.lower() == match["method"]
    backbone = config.model.backbone
    if match["encoder"]:
        assert config.backbone_name.lower() == match["encoder"]
        patches = re.search(r"_patch(\d+)", backbone.model_name)  # of a vision transformer
        stride = patches[1] if patches else backbone.output_stride
        assert match["encoder"].endswith(f"-d{stride}")
    else:
        stated = config.backbone_name.split()[0].split("-")[1]
        assert stated == match["depth"] == str(backbone.depth)
    assert config.auto_scale_lr.base_batch_size == int(match["gpus"]) * int(match["batch"])
    assert config.train_dataloader.batch_size == int(match["batch"])
    assert config.train_cfg.max_iters == int(match["iterations"]) * (
        1000 if match["thousand"] else 1
    )
    size = (int(match["height"]), int(match["width"]))
    crop = tuple(config.crop_size)
    assert all(small <= large for small, large in zip(crop, size, strict=True))
    assert tuple(transforms(config, "train_dataloader")["LoadRandomCrop"]["crop_size"]) == crop
    assert tuple(config.model.data_preprocessor.size) == crop


@pytest.mark.parametrize("name", FILES)
def test_the_parts_of_a_config_agree(name: str) -> None:
    config = load(name)
    model = config.model
    assert model.decode_head.num_classes == model.auxiliary_head.num_classes == config.num_classes
    losses = [*model.decode_head.loss_decode, model.auxiliary_head.loss_decode]
    assert [loss.loss_weight for loss in losses] == [0.4, 1.0, 0.4]
    assert all(loss.avg_non_ignore for loss in losses)
    checkpoint = config.default_hooks.checkpoint
    assert not checkpoint.by_epoch
    assert checkpoint.interval == config.train_cfg.val_interval
    assert config.train_cfg.max_iters % checkpoint.interval == 0
    protocol = config.evaluation
    assert protocol.single_scale.mode == "whole"
    assert protocol.multi_scale.flip
    assert tuple(protocol.multi_scale.scales) == tuple(config.img_ratios)
    assert "LoadAnnotations" in transforms(config, "val_dataloader")
    assert config.custom_imports == dict(
        imports=["isnet.mmseg_components"], allow_failed_imports=False
    )


@pytest.mark.parametrize("name", FILES)
def test_the_model_builds(name: str) -> None:
    with torch.device("meta"):
        model = build(load(name))
    assert model.decode_head.num_classes == model.auxiliary_head.num_classes


def test_configs_parse_from_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Config.fromfile(FOLDER / FLAGSHIP).train_cfg.max_iters == 160000


def test_the_baseline_differs_from_isnet_by_the_context_modules_alone() -> None:
    isnet, fcn = (
        load(f"{method}_res18-half_1xb2-1300_streets-128x256.py").to_dict()
        for method in ("isnet", "fcn")
    )
    isnet["method"] = "FCN"
    isnet["model"]["decode_head"].update(image_level=False, semantic_level=False)
    assert isnet == fcn


@pytest.mark.parametrize("name", FILES)
def test_the_learning_rate_ends_with_the_last_iteration_however_many_there_are(name: str) -> None:
    config = load(name)
    iterations, steps = 60, []
    optimizer = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    schedulers = [
        PARAM_SCHEDULERS.build({"end": iterations, **scheduler, "optimizer": optimizer})
        for scheduler in config.param_scheduler
    ]
    for _ in range(iterations):
        steps.append(optimizer.get_lr()["lr"][0])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    base, last = config.optim_wrapper.optimizer.lr, config.param_scheduler[-1].eta_min
    assert 0 < last < base
    assert max(steps) == pytest.approx(base)
    assert optimizer.get_lr()["lr"][0] == pytest.approx(last, rel=1e-6)


def test_the_flagship_schedule_is_polynomial_from_the_first_iteration_to_the_last() -> None:
    config = load(FLAGSHIP)
    optimizer = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    scheduler = PARAM_SCHEDULERS.build(
        {**config.param_scheduler[0], "end": 100, "optimizer": optimizer}
    )
    for i in range(100):
        # mmengine reaches the end in the last iteration, the official code (i / 100) one later.
        assert optimizer.get_lr()["lr"][0] == pytest.approx(
            (0.01 - 1e-4) * (1 - i / 99) ** 0.9 + 1e-4
        )
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", [FLAGSHIP, LIP])
def test_the_flagship_and_the_one_with_a_shortcut_take_a_training_step(name: str) -> None:
    torch.manual_seed(0)
    config = load(name)
    config.model.data_preprocessor.size = (64, 128)
    model = build(config).train()
    label = torch.randint(0, 19, (1, 64, 128))
    label[:, :8] = 255
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=(64, 128)))
    ] * 2
    images = [torch.randint(0, 256, (3, 64, 128)).float() for _ in range(2)]
    data = model.data_preprocessor({"inputs": images, "data_samples": samples}, training=True)
    losses = model(**data, mode="loss")
    stages = {"decode.loss_stage1", "decode.loss_stage2", "decode.acc_seg"}
    assert set(losses) == stages | {"aux.loss_ce", "aux.acc_seg"}
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []

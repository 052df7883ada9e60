"""Losses at the label's size: mmseg's values, from enlarged logits or without them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

import isnet.mmseg_components  # noqa: F401  (registers ISNetAuxiliaryHead)

CROSS_ENTROPY = dict(type="CrossEntropyLoss", loss_weight=0.4)
SETTINGS: dict[str, dict[str, Any]] = {
    "mean over labelled pixels": dict(loss_decode=CROSS_ENTROPY | dict(avg_non_ignore=True)),
    "mean over all pixels": dict(loss_decode=CROSS_ENTROPY),
    "class weights": dict(loss_decode=CROSS_ENTROPY | dict(class_weight=[1.0, 2, 3, 4, 5, 6, 7])),
    "sigmoid": dict(loss_decode=CROSS_ENTROPY | dict(use_sigmoid=True)),
    "two losses": dict(
        loss_decode=[CROSS_ENTROPY, dict(type="DiceLoss", loss_name="loss_dice", ignore_index=255)]
    ),
    "two losses of one name": dict(loss_decode=[CROSS_ENTROPY, CROSS_ENTROPY]),
    "hard pixels": dict(
        loss_decode=CROSS_ENTROPY, sampler=dict(type="OHEMPixelSampler", thresh=0.7, min_kept=50)
    ),
}


def auxiliary(kind: str, **settings: Any) -> Any:
    init_default_scope("mmseg")
    torch.manual_seed(0)
    return MODELS.build(
        dict(type=kind, in_channels=6, channels=8, num_convs=1, concat_input=False, num_classes=7,
             norm_cfg=dict(type="BN"), align_corners=False, dropout_ratio=0.0, **settings)
    )  # fmt: skip


def samples() -> list[SegDataSample]:
    labels = torch.randint(0, 7, (2, 1, 32, 64))
    labels[:, :, :9] = 255
    return [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]


@pytest.mark.filterwarnings("ignore:Default ``avg_non_ignore``")
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_auxiliary_head_has_the_losses_of_mmsegs(settings: dict[str, Any]) -> None:
    ours, theirs = (auxiliary(kind, **settings) for kind in ("ISNetAuxiliaryHead", "FCNHead"))
    data = samples()
    found: list[dict[str, Tensor]] = []
    gradients = []
    logits = torch.randn(2, 7, 4, 8)
    for head in (ours, theirs):
        mine = logits.clone().requires_grad_()
        losses = head.loss_by_feat(mine, data)
        sum(value for name, value in losses.items() if "loss" in name).backward()
        gradients.append(mine.grad)
        found.append({name: value.detach().squeeze() for name, value in losses.items()})
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_auxiliary_head_starts_from_the_initialisation_of_torch() -> None:
    head = auxiliary("ISNetAuxiliaryHead", loss_decode=CROSS_ENTROPY)
    head.init_weights()
    for conv in (module for module in head.modules() if isinstance(module, nn.Conv2d)):
        bound = 1 / math.sqrt(conv.weight[0].numel())
        assert 0.9 * bound < conv.weight.abs().max().item() <= bound


def test_auxiliary_logits_are_float32_under_autocast() -> None:
    head = auxiliary("ISNetAuxiliaryHead", loss_decode=CROSS_ENTROPY, in_index=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert head([torch.randn(2, 6, 4, 8)]).dtype == torch.float32

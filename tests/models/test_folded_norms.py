"""A network with folded norms says the same, and has as many parameters."""

from typing import Any

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from isnet.mmseg_import import import_mmseg
from isnet.models.folded_norms import FoldedNorm, fold_norms

import_mmseg()


def trained_like(module: nn.Module) -> nn.Module:
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.uniform_(norm.bias, -0.5, 0.5)
    module.double().eval()  # a ResNet does not return itself
    return module


@pytest.mark.parametrize(
    "settings",
    [
        dict(type="ResNet", depth=18),
        dict(type="ResNetV1c", depth=50),
        dict(type="ResNetV1d", depth=50),
        dict(type="ResNeXt", depth=50, groups=4),
        dict(type="ResNeSt", depth=50, stem_channels=16, radix=2, reduction_factor=4),
    ],
    ids=lambda settings: settings["type"],
)
def test_a_resnet_says_the_same_and_keeps_its_parameters(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    norm = {"type": "BN", "requires_grad": True}
    backbone = trained_like(MODELS.build({"base_channels": 16, "norm_cfg": norm} | settings))
    x = torch.randn(1, 3, 64, 96, dtype=torch.double)
    before, parameters = backbone(x), sum(p.numel() for p in backbone.parameters())
    fold_norms(backbone)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    assert any(isinstance(module, FoldedNorm) for module in backbone.modules())
    for folded, plain in zip(backbone(x), before, strict=True):
        torch.testing.assert_close(folded, plain, rtol=1e-10, atol=1e-10)
    assert sum(p.numel() for p in backbone.parameters()) == parameters


@pytest.mark.parametrize("missing", [{"affine": False}, {"track_running_stats": False}], ids=str)
def test_a_norm_without_numbers_of_its_own_stays(missing: dict[str, Any]) -> None:
    module = nn.Sequential(nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6, **missing)).eval()
    x = torch.randn(2, 4, 5, 5)
    before = module(x)
    fold_norms(module)
    assert module(x).equal(before)


def test_a_bias_is_folded_too_and_a_norm_elsewhere_stays() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)
    module = trained_like(
        nn.Sequential(nn.BatchNorm2d(4), conv, norm, nn.ReLU(), nn.BatchNorm2d(6))
    )
    x = torch.randn(2, 4, 5, 5, dtype=torch.double)
    before = module(x)
    fold_norms(module)
    assert [type(child).__name__ for child in module] == [
        *("BatchNorm2d", "Conv2d", "FoldedNorm", "ReLU", "BatchNorm2d")
    ]
    torch.testing.assert_close(module(x), before, rtol=1e-12, atol=1e-12)

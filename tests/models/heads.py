"""Small `ISNetHead`s for the tests."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor

from isnet.models.isnet_head import ISNetHead

__all__ = ["IN_CHANNELS", "backbone_maps", "build_head"]

IN_CHANNELS = (6, 8, 10, 12)


def build_head(num_classes: int, **overrides: Any) -> ISNetHead:
    config = dict(
        type="ISNetHead",
        in_channels=IN_CHANNELS,
        in_index=(0, 1, 2, 3),
        channels=16,
        transform_channels=8,
        dropout_ratio=0.0,
        num_classes=num_classes,
        shortcut_in_channels=IN_CHANNELS[0],
        shortcut_feat_channels=4,
        norm_cfg=dict(type="BN"),
    )
    return MODELS.build(config | overrides).double()


def backbone_maps(batch: int = 2, height: int = 6, width: int = 7) -> list[Tensor]:
    """Random float32 maps, all of one size."""
    return [torch.randn(batch, channels, height, width) for channels in IN_CHANNELS]

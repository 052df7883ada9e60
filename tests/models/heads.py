"""Small `ISNetHead`s for the tests."""

from __future__ import annotations

from typing import Any

from mmseg.registry import MODELS

from isnet.models.isnet_head import ISNetHead

__all__ = ["IN_CHANNELS", "build_head"]

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

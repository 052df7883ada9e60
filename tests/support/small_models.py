"""Small official models as files: the checkpoint, and the config that it fits."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from official_tree import Official, official_shapes, random_tensors
from repository import REPOSITORY
from torch import Tensor

BASES = REPOSITORY / "isnet/configs/_base_"
_CONFIG = """\
_base_ = {base!r}
model = dict(
    pretrained=None,
    backbone=dict(depth={depth}, base_channels={width}, stem_channels={stem}),
    decode_head=dict(
        in_channels={channels}, channels={c}, transform_channels={d}, num_classes={classes},
        with_shortcut={shortcut}, shortcut_in_channels={first}, act_cfg={act},
    ),
    auxiliary_head=dict(in_channels={third}, channels={c}, num_classes={classes}, act_cfg={act}),
)
train_dataloader = dict(dataset=dict(type="CityscapesDataset"))
"""


@dataclass(frozen=True)
class Case:
    """A small model in two spellings."""

    config: Path
    official: Path
    tensors: dict[str, Tensor]
    slope: float


def write_case(model: Official, folder: Path) -> Case:
    """Write both files; LIP's models (with shortcut) have LeakyReLU."""
    slope = 0.01 if model.shortcut else 0.0
    act = dict(type="LeakyReLU", negative_slope=slope) if slope else dict(type="ReLU")
    channels = tuple(model.width * 2**stage * model.expansion for stage in range(4))
    base = "isnet_s101-d8.py" if model.block == "split" else "isnet_r50-d8.py"
    config = folder / "small.py"
    config.write_text(
        _CONFIG.format(
            base=os.fspath(BASES / base), depth=18 if model.block == "basic" else 50,
            width=model.width, stem=model.stem, channels=channels, first=channels[0], third=channels[2],
            c=model.channels, d=model.transform, classes=model.classes, shortcut=model.shortcut, act=act,
        )
    )  # fmt: skip
    tensors = random_tensors(official_shapes(model))
    official = folder / "official.pth"
    torch.save({"model": tensors, "cur_epoch": 440, "optimizer": {"state": {}}}, official)
    return Case(config, official, tensors, slope)

"""The ISNet author's own modules (package `sssegmentation` 1.7.0) in small sizes, with random weights.

The package has no config files. `Official.settings` are those of its repository (ssseg/configs).
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from repository import REPOSITORY
from torch import Tensor
from torch.nn import functional as F

with warnings.catch_warnings():  # one of its modules silences all warnings
    from ssseg.modules.models.segmentors.isnet import ISNet
    from ssseg.modules.utils import SSSegInputStructure

SINGLE_VIEW = {
    "forward": {"mode": "whole", "cropsize": None, "stride": None},
    "tta": {"multiscale": [1], "flip": False, "use_probs_before_resize": False},
}
"""`inference` of the author's configs: one view of the whole image."""


@dataclass(frozen=True)
class Official:
    """An official model; the defaults are the published ResNet-50 of Cityscapes.

    `split`: ResNeSt; `lip`: LIP's shortcut and activation. Depth 18 is not published.
    """

    depth: int = 50
    split: bool = False
    classes: int = 19
    lip: bool = False
    width: int = 64
    stem: int = 64
    channels: int = 512
    transform: int = 256

    @property
    def act_cfg(self) -> dict[str, Any]:
        """Activation of the head and the auxiliary head."""
        leaky = {"type": "LeakyReLU", "negative_slope": 0.01}
        return leaky if self.lip else {"type": "ReLU"}

    @property
    def stage_channels(self) -> list[int]:
        """Channels of the four feature maps."""
        expansion = 1 if self.depth == 18 else 4
        return [self.width * 2**stage * expansion for stage in range(4)]

    def settings(self) -> dict[str, Any]:
        """Return the author's `SEGMENTOR_CFG`, without dropout and pretrained weights."""
        first, _, third, fourth = self.stage_channels
        loss = {"type": "CrossEntropyLoss", "ignore_index": -100, "reduction": "mean"}
        weights = {"loss_aux": 0.4, "loss_cls_stage1": 0.4, "loss_cls_stage2": 1.0}
        return {
            "num_classes": self.classes,
            "align_corners": False,
            "norm_cfg": {"type": "SyncBatchNorm"},
            "act_cfg": {**self.act_cfg, "inplace": True},
            "backbone": {
                "type": "ResNeSt" if self.split else "ResNet",
                "structure_type": "",
                "depth": self.depth,
                "base_channels": self.width,
                "stem_channels": self.stem,
                "outstride": 8,
                "pretrained": False,
                "selected_indices": (0, 1, 2, 3),
            },
            "head": {
                "in_channels": fourth,
                "feats_channels": self.channels,
                "transform_channels": self.transform,
                "concat_input": True,
                "shortcut": {"is_on": self.lip, "in_channels": first, "feats_channels": 48},
                "dropout": 0.0,
            },
            "auxiliary": {"in_channels": third, "out_channels": self.channels, "dropout": 0.0},
            "losses": {name: {**loss, "scale_factor": one} for name, one in weights.items()},
            "inference": SINGLE_VIEW,
            "dataset": {"train": {"data_pipelines": []}},
        }

    def build(self) -> ISNet:
        """Return the author's module in evaluation mode, with the weights of its constructor."""
        return ISNet(self.settings(), "TEST").eval()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return name and shape of each tensor of a checkpoint."""
        with torch.device("meta"):
            tensors = self.build().state_dict()
        return {name: tuple(value.shape) for name, value in tensors.items()}

    def build_random(self, seed: int = 0) -> ISNet:
        """Return the author's module with random weights, whose outputs have many classes."""
        model = self.build()
        model.load_state_dict(random_tensors(model.state_dict(), seed))
        images = normalised_images(4, 43, 70, seed).float()
        with torch.no_grad():
            # Without a favourite class, the positions of an image fall into several classes.
            model.decoder_stage1[-1].bias -= official_logits(model, images)[0].mean((0, 2, 3))
            model.decoder_stage2[-1].bias -= official_logits(model, images)[1].mean((0, 2, 3))
        return model


def normalised_images(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Return random images `(B, 3, H, W)` float64 with large and small structures."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 3, 4, 6, generator=generator, dtype=torch.float64)
    fine = torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)
    return F.interpolate(coarse, (height, width), mode="bilinear") * 2 + fine * 0.3


def official_logits(model: ISNet, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits of stage 1, stage 2 and the auxiliary head for `(B, 3, H, W)`."""
    first: list[Tensor] = []
    hook = model.decoder_stage1.register_forward_hook(lambda *call: first.append(call[-1]))
    second = model(SSSegInputStructure(images=images, mode="TEST")).seg_logits
    hook.remove()
    return first[0], second, model.auxiliary_decoder(model.backbone_net(images)[2])


def published_r50() -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the published R-50 Cityscapes file, which is older than the package."""
    shapes = {}
    for line in (Path(__file__).parent / "official_r50.txt").read_text().splitlines():
        name, _, shape = line.partition(" ")
        shapes[name] = tuple(int(size) for size in shape.strip("()").split(",") if size.strip())
    return shapes


def random_tensors(tensors: dict[str, Tensor], seed: int = 0) -> dict[str, Tensor]:
    """Return weights of the same names and shapes; signals neither vanish nor explode, and every
    statistic matters.
    """
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in ((name, tuple(value.shape)) for name, value in tensors.items()):
        if name.endswith("num_batches_tracked"):
            found[name] = torch.randint(1, 10**6, (), generator=generator)
        elif name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
            found[name] = torch.rand(shape, generator=generator) + 0.5
        elif name.endswith("weight"):
            fan = shape[1] * shape[2] * shape[3]
            found[name] = torch.randn(shape, generator=generator) * fan**-0.5
        else:
            found[name] = torch.randn(shape, generator=generator) * 0.2
    return found


_CONFIG = """\
_base_ = {base!r}
model = dict(
    pretrained=None,
    backbone=dict(depth={depth}, base_channels={width}, stem_channels={stem}),
    decode_head=dict(
        in_channels={channels}, channels={c}, transform_channels={d}, num_classes={classes},
        with_shortcut={lip}, shortcut_in_channels={first}, act_cfg={act},
    ),
    auxiliary_head=dict(in_channels={third}, channels={c}, num_classes={classes}, act_cfg={act}),
)
train_dataloader = dict(dataset=dict(type="CityscapesDataset"))
"""


@dataclass(frozen=True)
class Case:
    """A small model as two files: the official checkpoint, and the config that it fits."""

    config: Path
    official: Path
    author: ISNet

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The weights under their official names."""
        return self.author.state_dict()


def write_case(model: Official, folder: Path) -> Case:
    """Write both files; the config is one of ours in the model's size."""
    name = "isnet_s101-d8.py" if model.split else "isnet_r50-d8.py"
    channels = model.stage_channels
    config = folder / "small.py"
    config.write_text(
        _CONFIG.format(
            base=os.fspath(REPOSITORY / "isnet/configs/_base_" / name), depth=model.depth,
            width=model.width, stem=model.stem, channels=tuple(channels), first=channels[0], third=channels[2],
            c=model.channels, d=model.transform, classes=model.classes, lip=model.lip, act=model.act_cfg,
        )
    )  # fmt: skip
    author = model.build_random()
    official = folder / "official.pth"
    torch.save(
        {"model": author.state_dict(), "cur_epoch": 440, "optimizer": {"state": {}}}, official
    )
    return Case(config, official, author)

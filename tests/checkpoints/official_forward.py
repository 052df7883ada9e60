"""The official network computed from its state dict with `torch.nn.functional` alone: no module of ours, mmseg's or mmcv's.

Plain and slow: the N x N maps are written out, classes and images are looped over.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class OfficialForward:
    """Args: the tensors under their official names, and the slope of the head's activation below zero."""

    def __init__(self, tensors: dict[str, Tensor], slope: float = 0.0) -> None:
        self.tensors = tensors
        self.slope = slope

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map `(B, 3, H, W)` to the logits of stage 1, stage 2 and the auxiliary head."""
        maps = self.backbone(images)
        feats = self.pair("bottleneck", maps[3])
        stage1 = self.conv("decoder_stage1.4", self.pair("decoder_stage1", feats))
        average = feats.mean((2, 3), keepdim=True).expand_as(feats)
        context = self.context("ilc_net", feats, torch.cat([average, feats], 1), feats)
        context = self.context("slc_net", feats, class_centres(feats, stage1), context)
        if "shortcut.0.weight" in self.tensors:
            shortcut = self.pair("shortcut", maps[0])
            context = F.interpolate(context, shortcut.shape[2:], mode="bilinear")
            context = self.pair("decoder_stage2", torch.cat([context, shortcut], 1))
            stage2 = self.conv("decoder_stage2.4", context)
        else:
            stage2 = self.conv("decoder_stage2.1", context)
        return (
            stage1,
            stage2,
            self.conv("auxiliary_decoder.4", self.pair("auxiliary_decoder", maps[2])),
        )

    def conv(
        self, name: str, x: Tensor, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> Tensor:
        weight = self.tensors[f"{name}.weight"]
        padding = dilation * (weight.shape[2] // 2)
        return F.conv2d(
            x, weight, self.tensors.get(f"{name}.bias"), stride, padding, dilation, groups
        )

    def norm(self, name: str, x: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.tensors[f"{name}.{one}"][:, None, None]
            for one in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    def pair(self, name: str, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(f"{name}.1", self.conv(f"{name}.0", x)), self.slope)

    def context(self, net: str, query_source: Tensor, key_source: Tensor, beside: Tensor) -> Tensor:
        name = f"{net}.correlate_net"
        query, key = query_source, key_source
        for number in (0, 1):
            query = self.pair(f"{name}.query_project.{number}", query)
            key = self.pair(f"{name}.key_project.{number}", key)
        value = self.pair(f"{name}.value_project", key_source).flatten(2)
        similarity = query.flatten(2).transpose(1, 2) @ key.flatten(2) * query.shape[1] ** -0.5
        found = (similarity.softmax(-1) @ value.transpose(1, 2)).transpose(1, 2)
        found = self.pair(f"{name}.out_project", found.reshape(query.shape))
        return self.pair(f"{net}.bottleneck", torch.cat([beside, found], 1))

    def backbone(self, images: Tensor) -> list[Tensor]:
        x = images
        for index, stride in ((0, 2), (3, 1), (6, 1)):
            name = f"backbone_net.stem.{index}"
            x = F.relu(self.norm(f"backbone_net.stem.{index + 1}", self.conv(name, x, stride)))
        x = F.max_pool2d(x, 3, 2, 1)
        maps = []
        for stage, (stride, dilation) in enumerate(((1, 1), (2, 1), (1, 2), (1, 4)), 1):
            layer = f"backbone_net.layer{stage}"
            blocks = {name.split(".")[2] for name in self.tensors if name.startswith(f"{layer}.")}
            for number in range(len(blocks)):
                # The first block of a dilated stage has half the dilation ("contracted").
                d = dilation // 2 if number == 0 and dilation > 1 else dilation
                x = self.residual(f"{layer}.{number}", x, stride if number == 0 else 1, d)
            maps.append(x)
        return maps

    def residual(self, name: str, x: Tensor, stride: int, dilation: int) -> Tensor:
        has = {key.removeprefix(f"{name}.") for key in self.tensors if key.startswith(f"{name}.")}
        if "conv3.weight" not in has:
            out = F.relu(self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x, stride, dilation)))
            out = self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", out))
        else:
            out = F.relu(self.norm(f"{name}.bn1", self.conv(f"{name}.conv1", x)))
            if "conv2.weight" in has:
                out = F.relu(
                    self.norm(f"{name}.bn2", self.conv(f"{name}.conv2", out, stride, dilation))
                )
            else:
                out = self.split_attention(f"{name}.conv2", out, dilation)
                out = F.avg_pool2d(out, 3, stride, 1) if stride > 1 else out
            out = self.norm(f"{name}.bn3", self.conv(f"{name}.conv3", out))
        if "downsample.2.weight" in has:
            x = F.avg_pool2d(x, stride, stride, ceil_mode=True, count_include_pad=False)
            x = self.norm(f"{name}.downsample.2", self.conv(f"{name}.downsample.1", x))
        elif "downsample.0.weight" in has:
            x = self.norm(f"{name}.downsample.1", self.conv(f"{name}.downsample.0", x, stride))
        return F.relu(out + x)

    def split_attention(self, name: str, x: Tensor, dilation: int) -> Tensor:
        x = F.relu(self.norm(f"{name}.bn0", self.conv(f"{name}.conv", x, 1, dilation, groups=2)))
        halves = x.chunk(2, dim=1)
        gap = (halves[0] + halves[1]).mean((2, 3), keepdim=True)
        gap = F.relu(self.norm(f"{name}.bn1", self.conv(f"{name}.fc1", gap)))
        weights = torch.stack(self.conv(f"{name}.fc2", gap).chunk(2, dim=1)).softmax(0)
        return halves[0] * weights[0] + halves[1] * weights[1]


def class_centres(feats: Tensor, logits: Tensor) -> Tensor:
    """Put at each position the centre of the class that its stage-1 logits choose."""
    centres = torch.empty_like(feats)
    for image, (feat, logit) in enumerate(zip(feats, logits, strict=True)):
        chosen = logit.argmax(0)
        for one in chosen.unique():
            here = chosen == one
            centres[image][:, here] = (feat[:, here] * logit[one][here].softmax(0)).sum(
                1, keepdim=True
            )
    return centres

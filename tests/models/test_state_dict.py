"""Parameters have the official names, shapes and number, so that weights move both ways."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from heads import build_head
from torch import nn

# The head of the official R-50 Cityscapes model, in mmseg style: block -> shape of its convolution.
OFFICIAL_BLOCKS = {
    "bottleneck": (512, 2048, 3, 3),
    **{
        f"{net}.{block}": (*shape,)
        for net, key in (("ilc_net", 1024), ("slc_net", 512))
        for block, shape in {
            "correlate_net.key_project.0": (256, key, 1, 1),
            "correlate_net.key_project.1": (256, 256, 1, 1),
            "correlate_net.query_project.0": (256, 512, 1, 1),
            "correlate_net.query_project.1": (256, 256, 1, 1),
            "correlate_net.value_project": (256, key, 1, 1),
            "correlate_net.out_project": (512, 256, 1, 1),
            "bottleneck": (512, 1024, 3, 3),
        }.items()
    },
    "decoder_stage1.0": (512, 512, 1, 1),
}


def official_names(
    classifiers: tuple[str, str], extra: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    names: dict[str, tuple[int, ...]] = {}
    for block, shape in (OFFICIAL_BLOCKS | extra).items():
        names[f"{block}.conv.weight"] = shape
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            names[f"{block}.bn.{tensor}"] = shape[:1]
        names[f"{block}.bn.num_batches_tracked"] = ()
    for classifier in classifiers:
        names |= {f"{classifier}.weight": (19, 512, 1, 1), f"{classifier}.bias": (19,)}
    return names


def full_size_head(num_classes: int, **overrides: Any) -> nn.Module:
    full = dict(
        in_channels=(256, 512, 1024, 2048),
        channels=512,
        transform_channels=256,
        shortcut_in_channels=256,
        shortcut_feat_channels=48,
    )
    with torch.device("meta"):
        return build_head(num_classes, **(full | overrides))


def test_state_dict_has_the_official_names_and_shapes() -> None:
    actual = {name: tuple(tensor.shape) for name, tensor in full_size_head(19).state_dict().items()}
    assert actual == official_names(("decoder_stage1.2", "decoder_stage2.1"), {})


def test_state_dict_of_the_shortcut_has_the_official_names_and_shapes() -> None:
    head = full_size_head(19, with_shortcut=True)
    actual = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    extra = {"shortcut": (48, 256, 1, 1), "decoder_stage2.0": (512, 560, 1, 1)}
    expected = official_names(("decoder_stage1.2", "decoder_stage2.2"), extra)
    assert actual == expected | {"shortcut.conv.bias": (48,)}


@pytest.mark.parametrize(
    ("num_classes", "with_shortcut", "parameters"),
    [(19, False, 20740134), (150, False, 20874540), (20, True, 21041336)],
    ids=["cityscapes", "ade20k", "lip"],
)
def test_parameter_counts_are_the_official_ones(
    num_classes: int, with_shortcut: bool, parameters: int
) -> None:
    head = full_size_head(num_classes, with_shortcut=with_shortcut)
    assert sum(parameter.numel() for parameter in head.parameters()) == parameters

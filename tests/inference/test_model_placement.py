"""A network that is placed for use says the same, and holds no map that its head does not read."""

from copy import deepcopy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from isnet.inference.model_placement import place

SHORTCUT = {"with_shortcut": True, "shortcut_in_channels": 8, "shortcut_feat_channels": 4}
OF_THE_LAST = SHORTCUT | {"shortcut_in_channels": 64, "in_channels": (64,), "in_index": (-1,)}


@pytest.mark.parametrize(
    ("head", "channels_read"),
    [({}, [64]), (SHORTCUT, [8, 64]), (OF_THE_LAST, [64])],
    ids=["plain", "shortcut", "shortcut of the last map"],
)
def test_an_isnet_says_the_same_from_the_maps_that_it_reads(
    head: dict[str, object], channels_read: list[int]
) -> None:
    init_default_scope("mmseg")
    norm = {"type": "BN", "requires_grad": True}
    backbone = dict(type="ResNetV1c", depth=18, stem_channels=8, base_channels=8, norm_cfg=norm)
    maps = dict(in_channels=(8, 16, 32, 64), in_index=(0, 1, 2, 3))
    sizes = dict(channels=16, transform_channels=8, num_classes=7)
    decode_head = dict(type="ISNetHead", norm_cfg=norm) | maps | sizes | head
    torch.manual_seed(0)
    model = MODELS.build(
        {"type": "EncoderDecoder", "backbone": backbone, "decode_head": decode_head}
    )
    model.backbone.eval()
    model.decode_head.eval()
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        wanted = model.decode_head(model.extract_feat(x))
        placed = place(deepcopy(model), gpu=False)
        maps = placed.extract_feat(x)
        torch.testing.assert_close(placed.decode_head(maps), wanted)
    assert [read.shape[1] for read in maps] == channels_read

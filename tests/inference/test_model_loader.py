from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from small_weights import write_small_weights

from isnet.errors import UserError
from isnet.inference.model_loader import open_model, prepare_for_inference


def test_a_weights_file_alone_gives_the_network_its_classes_and_its_views(weights: Path):
    model = open_model(weights)
    assert not model.network.training
    assert model.network.out_channels == len(model.metadata.classes) == 19
    assert model.metadata.palette[0] == (128, 64, 128)
    assert model.protocol.single_scale.mode == "whole"
    assert model.protocol.multi_scale is not None and model.protocol.multi_scale.flip
    assert model.metadata.provenance["run"] == "small"
    saved = torch.load(weights, weights_only=True)["state_dict"]
    wanted = MODELS.build(ConfigDict(model.metadata.model))
    wanted.load_state_dict(saved)
    prepare_for_inference(wanted, gpu=False)
    found = model.network.state_dict()
    assert found.keys() == wanted.state_dict().keys()
    assert all(value.equal(found[name]) for name, value in wanted.state_dict().items())
    assert all(value.equal(saved[name]) for name, value in found.items() if "decode_head" in name)


def hostile_head(meta: dict[str, Any]) -> None:
    meta["isnet"]["model"]["decode_head"] = {"type": "os.system", "command": "true"}


def hostile_layer(meta: dict[str, Any]) -> None:
    meta["isnet"]["model"]["backbone"]["norm_cfg"] = {"type": "subprocess.Popen"}


def hostile_resize(meta: dict[str, Any]) -> None:
    meta["isnet"]["resize"] = [{"type": "LoadAnnotations"}]


def from_the_future(meta: dict[str, Any]) -> None:
    meta["isnet"]["version"] = 99


def without_a_colour(meta: dict[str, Any]) -> None:
    meta["isnet"]["palette"].pop()


def with_text_for_classes(meta: dict[str, Any]) -> None:
    meta["isnet"]["classes"] = "road"


def of_more_classes(meta: dict[str, Any]) -> None:
    meta["isnet"]["model"]["decode_head"]["num_classes"] = 20


def with_a_tensor_for_a_name(meta: dict[str, Any]) -> None:
    meta["isnet"]["provenance"]["run"] = torch.zeros(1)


def unknown_part(meta: dict[str, Any]) -> None:
    meta["isnet"]["model"]["decode_head"]["type"] = "NoSuchHead"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (dict.clear, "has no metadata of isnet"),
        (hostile_head, "os.system"),
        (hostile_layer, "subprocess.Popen"),
        (hostile_resize, "prepares images by 'LoadAnnotations'"),
        (from_the_future, "version 99"),
        (without_a_colour, "19 classes and 18 colours"),
        (with_text_for_classes, "classes: Input should be a valid list"),
        (of_more_classes, "mis-shaped"),
        (with_a_tensor_for_a_name, "more than plain values"),
        (unknown_part, "NoSuchHead"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_anything_of_it_runs(
    change: Callable[[dict[str, Any]], None], told: str, tmp_path: Path
):
    file = write_small_weights(tmp_path / "weights.pth", change)
    with pytest.raises(UserError, match=told) as refused:
        open_model(file)
    assert str(file) in str(refused.value)


SHORTCUT = {"with_shortcut": True, "shortcut_in_channels": 8, "shortcut_feat_channels": 4}
OF_THE_LAST = SHORTCUT | {"shortcut_in_channels": 64, "in_channels": (64,), "in_index": (-1,)}


@pytest.mark.parametrize(
    ("head", "channels_read"),
    [({}, [64]), (SHORTCUT, [8, 64]), (OF_THE_LAST, [64])],
    ids=["plain", "shortcut", "shortcut of the last map"],
)
def test_an_isnet_gives_the_same_logits_from_the_maps_that_it_reads(
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
        placed = prepare_for_inference(deepcopy(model), gpu=False)
        maps = placed.extract_feat(x)
        torch.testing.assert_close(placed.decode_head(maps), wanted)
    assert [read.shape[1] for read in maps] == channels_read

"""`ISNetHead` within mmseg: training, prediction, losses, initialisation, refused settings."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from heads import build_head
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from isnet.models.isnet_head import stage_losses


def tiny_segmentor(**head: Any) -> Any:
    init_default_scope("mmseg")
    norm = dict(type="BN")
    return MODELS.build(
        dict(
            type="EncoderDecoder",
            data_preprocessor=dict(type="SegDataPreProcessor", size=(32, 64), seg_pad_val=255),
            backbone=dict(
                type="ResNetV1c", depth=18, stem_channels=8, base_channels=8, norm_cfg=norm,
                dilations=(1, 1, 2, 4), strides=(1, 2, 1, 1), out_indices=(0, 1, 2, 3),
            ),
            decode_head=dict(
                type="ISNetHead", in_channels=(8, 16, 32, 64), in_index=(0, 1, 2, 3), channels=16,
                transform_channels=8, num_classes=7, norm_cfg=norm, **head,
            ),
            test_cfg=ConfigDict(mode="whole"),
        )
    )  # fmt: skip


def batch() -> dict[str, list[Any]]:
    samples = []
    for _ in range(2):
        label = torch.randint(0, 7, (1, 32, 64))
        label[:, :, :20] = 255
        samples.append(
            SegDataSample(
                gt_sem_seg=PixelData(data=label),
                metainfo=dict(img_shape=(32, 64), ori_shape=(32, 64)),
            )
        )
    return {
        "inputs": [torch.randint(0, 256, (3, 32, 64)).float() for _ in range(2)],
        "data_samples": samples,
    }


@pytest.mark.parametrize(
    "switches", [{}, dict(image_level=False, semantic_level=False)], ids=["isnet", "fcn"]
)
def test_a_segmentor_trains_and_predicts(switches: dict[str, bool]) -> None:
    torch.manual_seed(0)
    model = tiny_segmentor(**switches)
    model.init_weights()
    data = model.data_preprocessor(batch(), training=True)
    losses = model.train()(**data, mode="loss")
    assert set(losses) == {"decode.loss_stage1", "decode.loss_stage2", "decode.acc_seg"}
    model.parse_losses(losses)[0].backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    predictions = model.eval()(**data, mode="predict")
    assert predictions[0].pred_sem_seg.data.shape == (1, 32, 64)


def test_losses_are_means_over_valid_pixels_weighted_per_stage() -> None:
    torch.manual_seed(0)
    head = build_head(7)
    logits = (torch.randn(2, 7, 4, 8).double(), torch.randn(2, 7, 4, 8).double())
    samples = batch()["data_samples"]
    label = torch.cat([sample.gt_sem_seg.data for sample in samples])
    losses = head.loss_by_feat(logits, samples)
    full = [nn.functional.interpolate(stage, size=(32, 64), mode="bilinear") for stage in logits]
    plain = [nn.functional.cross_entropy(stage, label, ignore_index=255) for stage in full]
    torch.testing.assert_close(losses["loss_stage1"], 0.4 * plain[0])
    torch.testing.assert_close(losses["loss_stage2"], 1.0 * plain[1])
    valid = label != 255
    accuracy = (full[1].argmax(1) == label)[valid].double().mean() * 100
    assert losses["acc_seg"].item() == pytest.approx(accuracy.item(), rel=1e-5)


def test_weights_start_from_the_initialisation_of_torch() -> None:
    torch.manual_seed(0)
    head = build_head(7).float()
    head.init_weights()
    weight = head.bottleneck.conv.weight
    bound = 1 / math.sqrt(weight[0].numel())
    assert 0.99 * bound < weight.abs().max().item() <= bound


def test_one_loss_is_derived_for_both_stages() -> None:
    derived = stage_losses(dict(type="CrossEntropyLoss", loss_weight=2.0))
    assert [(loss["loss_name"], loss["loss_weight"]) for loss in derived] == [
        ("loss_stage1", 0.8),
        ("loss_stage2", 2.0),
    ]


def test_without_concatenation_the_image_level_is_said_to_be_idle() -> None:
    with pytest.warns(UserWarning, match="reaches no output"):
        head = build_head(4, concat_input=False)
    assert "ilc_net.bottleneck.conv.weight" not in head.state_dict()


@pytest.mark.parametrize(
    "wrong",
    [
        dict(norm_cfg=None),
        dict(norm_cfg=dict(type="GN", num_groups=2)),
        dict(fusion="sum"),
        dict(fusion="residual", concat_input=False),
        dict(loss_decode=[dict(type="CrossEntropyLoss")]),
        dict(loss_decode=[dict(type="CrossEntropyLoss", loss_name="loss_x")] * 2),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="ISNetHead"):
        build_head(4, **wrong)

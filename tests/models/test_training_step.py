"""A training step of the whole model equals the author's (package `sssegmentation` 1.7.0)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from official_models import Official, normalised_images, write_case
from ssseg.modules.utils import SSSegInputStructure

from isnet.checkpoints.tensor_names import official_name
from isnet.inference.model_config import deployed_model
from isnet.mmseg_import import import_mmseg

import_mmseg()
SMALL = dict(width=8, stem=16, channels=16, transform=8)


@pytest.mark.parametrize(
    "model",
    [Official(**SMALL), Official(split=True, classes=20, lip=True, **SMALL)],
    ids=["R-50", "S-50 of LIP"],
)
def test_losses_gradients_and_statistics_equal_the_authors(model: Official, tmp_path: Path) -> None:
    """In float64 within 1e-9, with pixels that have no label; without dropout, which is random."""
    case = write_case(model, tmp_path)
    config = Config.fromfile(case.config, import_custom_modules=False).to_dict()
    for head in ("decode_head", "auxiliary_head"):
        config["model"][head]["dropout_ratio"] = 0.0
    ours, author = MODELS.build(deployed_model(config)).double(), case.author.double()
    places = {name: official_name(name) for name in ours.state_dict()}
    ours.load_state_dict({name: case.tensors[place] for name, place in places.items()})
    images = normalised_images(3, 49, 66)
    label = torch.randint(0, model.classes, (3, 49, 66))
    label[:, :9] = 255

    data = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]
    losses = ours.train().loss(images, data)
    ours_total = sum(value for name, value in losses.items() if "loss" in name)
    ours_total.backward()
    targets = label.masked_fill(label == 255, -100)
    author.train()
    found = author(SSSegInputStructure(images=images, seg_targets=targets, mode="TRAIN"))
    found.loss.backward()

    names = {"decode.loss_stage1": "loss_cls_stage1", "decode.loss_stage2": "loss_cls_stage2"}
    for name, place in {**names, "aux.loss_ce": "loss_aux"}.items():
        assert losses[name].item() == pytest.approx(found.losses_log_dict[place], rel=1e-9)
    assert set(places.values()) == author.state_dict().keys()
    for name, place in places.items():
        if place.endswith(("weight", "bias")):
            one, other = ours.get_parameter(name).grad, author.get_parameter(place).grad
        else:
            one, other = ours.get_buffer(name), author.get_buffer(place)
        deviation = (one - other).abs().max() / other.abs().max().clamp(min=1)
        assert deviation < 1e-9, name

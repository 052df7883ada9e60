from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from ssseg.modules.models.segmentors.base import BaseSegmentor
from ssseg.modules.utils import SSSegInputStructure, SSSegOutputStructure
from torch import Tensor, nn

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.label_prediction import predict_with_confidence
from isnet.inference.model_loader import TrainedModel, open_model
from isnet.inference.sliding_window import predict_in_bands, sliding_window_scores, window_grid


def image(height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 3, 4, 6, generator=generator, dtype=torch.float64)
    fine = torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)
    return F.interpolate(coarse, (height, width), mode="bilinear") * 2 + fine * 0.3


@pytest.fixture(scope="module")
def small_model(weights: Path) -> TrainedModel:
    return open_model(weights)


class OfficialWindows(BaseSegmentor):
    """The ISNet author's sliding window over one of our networks."""

    def __init__(self, network: nn.Module, crop: tuple[int, int], stride: int, average: str):
        nn.Module.__init__(self)
        self.network, self.mode, self.align_corners = network, "TEST", False
        self.cfg = {
            "num_classes": network.out_channels,
            "inference": {
                "forward": {"mode": "slide", "cropsize": crop, "stride": (stride, stride)},
                "tta": {"use_probs_before_resize": average == "probabilities"},
            },
        }

    def forward(self, data_meta: SSSegInputStructure) -> SSSegOutputStructure:
        logits = self.network.decode_head(self.network.backbone(data_meta.images))[1]
        return SSSegOutputStructure(mode="TEST", seg_logits=logits)


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize(("height", "width"), [(48, 80), (45, 71), (24, 80), (17, 19)])
def test_slide_equals_the_authors(model, height, width, average):
    x = image(height, width)
    settings = InferenceSettings("slide", (32, 40), (20, 20))
    with torch.no_grad():
        torch.testing.assert_close(
            sliding_window_scores(model, x, settings, average),
            OfficialWindows(model, (32, 40), 20, average).inference(x),
        )


def test_slide_equals_mmseg(model):
    x = image(45, 71)
    model.test_cfg = ConfigDict(mode="slide", crop_size=(32, 40), stride=(20, 24))
    theirs = model.predict(x)[0].seg_logits.data
    settings = InferenceSettings("slide", (32, 40), (20, 24))
    torch.testing.assert_close(sliding_window_scores(model, x, settings, "logits")[0], theirs)


def test_windows_cover_the_image_and_stay_inside():
    for size in itertools.product((7, 32, 33, 64, 100), (40, 41, 99)):
        seen = torch.zeros(size)
        places = window_grid(size, (32, 40), (20, 24))
        for top, bottom, left, right in places:
            assert 0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]
            assert (bottom - top, right - left) == (min(32, size[0]), min(40, size[1]))
            seen[top:bottom, left:right] += 1
        assert bool((seen > 0).all()) and len(places) == len(set(places))


def test_windows_of_the_official_cityscapes_protocol():
    places = window_grid((1024, 2048), (512, 1024), (341, 341))
    assert sorted({top for top, *_ in places}) == [0, 341, 512]
    assert sorted({left for *_, left, _ in places}) == [0, 341, 682, 1023, 1024]


@pytest.mark.parametrize(
    ("size", "average"),
    [
        ((150, 70), "logits"),
        ((70, 150), "probabilities"),
        ((20, 30), "logits"),
        ((1, 1), "logits"),
        ((3, 200), "logits"),
    ],
)
def test_bands_equal_the_sum_over_all_windows(
    size: tuple[int, int], average: Any, small_model: TrainedModel
):
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    settings = InferenceSettings(average=average).with_windows((48, 32))

    def read(rows: slice, columns: slice) -> torch.Tensor:
        return x[:, :, rows, columns]

    label, sure = predict_in_bands(small_model.network, size, read, settings)
    all_label, all_sure = predict_with_confidence(small_model.network, x, size, settings)
    torch.testing.assert_close(sure, all_sure)
    # Wider images are summed in another order, and two classes may be equal but for rounding.
    assert (label != all_label).float().mean() < 1e-3

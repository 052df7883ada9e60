"""Labels and confidences against `interpolate`, `softmax` and `argmax` of everything."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.segmentor_logits import upsampled_argmax, upsampled_argmax_with_confidence

SIZES = [
    ((7, 9), (41, 67)),
    ((16, 8), (128, 64)),
    ((5, 3), (33, 100)),
    ((1, 4), (9, 33)),
    ((6, 7), (6, 7)),
    ((12, 15), (13, 16)),
    ((20, 30), (7, 11)),
    ((1, 1), (5, 5)),
]


def blobs(height: int, width: int, batch: int = 2, classes: int = 6) -> Tensor:
    """Scores with regions of one class and with borders."""
    generator = torch.Generator().manual_seed(height * width)
    coarse = torch.randn(batch, classes, 3, 3, generator=generator, dtype=torch.float64)
    return F.interpolate(coarse, (height, width), mode="bicubic") * 4


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(("small", "large"), SIZES)
def test_labels_are_those_of_interpolation_and_argmax(small, large, align_corners):
    scores = blobs(*small)
    everything = F.interpolate(scores, large, mode="bilinear", align_corners=align_corners)
    label, best = upsampled_argmax(scores, large, align_corners)
    assert label.dtype == torch.uint8
    assert torch.equal(label.long(), everything.argmax(1))
    torch.testing.assert_close(best, everything.amax(1))


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize(("small", "large"), SIZES)
def test_the_confidence_is_the_probability_of_the_label(small, large, probabilities):
    views = [blobs(*small), blobs(*small).flip(1) * 0.3, blobs(*small).flip(3) * 0.5]
    views = [view.softmax(1) for view in views] if probabilities else views
    mean = F.interpolate(sum(views) / 3, large, mode="bilinear", align_corners=False)
    expected = mean if probabilities else mean.softmax(1)
    average = "probabilities" if probabilities else "logits"
    settings = InferenceSettings(scales=(0.5, 1.0, 2.0), average=average)
    label, confidence = upsampled_argmax_with_confidence(sum(views), large, False, settings)
    assert torch.equal(label.long(), mean.argmax(1))
    assert confidence.dtype == torch.float32
    torch.testing.assert_close(confidence, expected.amax(1).float())


def test_the_first_of_equal_classes_wins():
    scores = torch.zeros(1, 4, 4, 4)
    scores[:, 1:3, :, 2:] = 1.0
    label, _ = upsampled_argmax(scores, (16, 16), False)
    assert label[0, 0, 0] == 0 and label[0, 0, -1] == 1
    assert set(label.unique().tolist()) == {0, 1}

"""Views of test-time augmentation, mmseg's against its own model.

Official ones are compared with the author's code in test_official_implementation.py.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import TRANSFORMS
from torch import Tensor

from isnet.images.image_file import read_image
from isnet.inference import segmentor_logits as network
from isnet.inference import sliding_window
from isnet.inference import test_time_augmentation as views
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.input_images import image_tensor
from isnet.inference.label_prediction import predict, predict_with_confidence

SIX = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
PAIRS = ((14, 15), (16, 17), (18, 19))


def image(height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 3, 4, 6, generator=generator, dtype=torch.float64)
    fine = torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)
    return F.interpolate(coarse, (height, width), mode="bilinear") * 2 + fine * 0.3


@pytest.fixture(scope="module")
def people(build_model):
    """A model of 20 classes that sees those which have a left and a right."""
    model = build_model(num_classes=20).double()
    for index in range(14, 20):
        model.decode_head.conv_seg.weight.data[index] *= 1.5
    return model


@pytest.mark.parametrize(
    ("official", "other"),
    [
        (dict(mode="slide", crop_size=(64, 32)), dict(mode="slide", crop_size=(32, 64))),
        (dict(average="probabilities"), dict(average="logits")),
        (dict(flip_pairs=PAIRS), dict(flip_pairs=())),
    ],
    ids=["windows", "average", "flip pairs"],
)
def test_each_setting_in_which_official_protocols_differ_changes_labels(people, official, other):
    common = dict(stride=(21, 21), scales=(0.5, 1.75), flip=True)
    one, two = (
        predict(people, image(53, 85), (67, 99), InferenceSettings(**common, **settings))
        for settings in (official, other)
    )
    assert not torch.equal(one, two)


@pytest.mark.parametrize("mode", ["whole", "slide"])
@pytest.mark.parametrize("limit", [1, 2000, 2**20])
def test_batches_change_no_score_and_stay_within_the_limit(model, monkeypatch, mode, limit):
    """With the rule of a GPU, whose batches hold up to `limit` pixels."""
    x = image(50, 90)
    settings = InferenceSettings(mode, (32, 40), (20, 24), (0.5, 1.0), True, windows_per_batch=3)
    alone = torch.cat(
        [scores.mean((2, 3)) for scores in views.tta_scores(model, x, (50, 90), settings)]
    )
    shapes = []

    def seen(model, x: Tensor) -> Tensor:
        shapes.append(tuple(x.shape))
        return network.raw_logits(model, x)

    monkeypatch.setattr(views, "raw_logits", seen)
    monkeypatch.setattr(
        sliding_window, "logits", lambda m, x, size: network.resize(seen(m, x), size, False)
    )
    monkeypatch.setattr(sliding_window, "_PIXELS_PER_BATCH", limit)
    monkeypatch.setattr(sliding_window, "_uses_batches", lambda device: True)
    batched = torch.cat(
        [scores.mean((2, 3)) for scores in views.tta_scores(model, x, (50, 90), settings)]
    )
    torch.testing.assert_close(batched, alone)
    pixels = [b * h * w for b, _, h, w in shapes]
    assert all(p <= limit or b == 1 for p, (b, *_) in zip(pixels, shapes, strict=True))
    if limit > 2**19:
        assert max(b for b, *_ in shapes) == (2 if mode == "whole" else 6)


def test_flip_pairs_swap_left_and_right(model, monkeypatch):
    """A model that names a side by where it is: mirrored, it must name the other one."""

    def sides(model, x: Tensor) -> Tensor:
        ramp = torch.linspace(-1, 1, x.shape[3], dtype=x.dtype).expand(1, 1, *x.shape[2:])
        return torch.cat([-ramp, ramp, ramp * 0 - 9, ramp * 0 - 9], 1)

    monkeypatch.setattr(views, "raw_logits", sides)
    x, size = image(16, 32), (16, 32)
    plain = predict(model, x, size, InferenceSettings())
    pairs = predict(model, x, size, InferenceSettings(flip=True, flip_pairs=((0, 1),)))
    unpaired = predict(model, x, size, InferenceSettings(flip=True))
    assert torch.equal(plain, pairs) and not torch.equal(plain, unpaired)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    random = np.random.default_rng(5)
    small = random.integers(0, 255, (5, 7, 3)).astype(np.uint8)
    picture = cv2.resize(small, (119, 77), interpolation=cv2.INTER_CUBIC).astype(int)
    picture += random.integers(-9, 9, picture.shape)
    cv2.imwrite(str(tmp_path / "street.png"), picture.clip(0, 255).astype(np.uint8))
    return tmp_path / "street.png"


@pytest.mark.parametrize(("mode", "scales"), [("whole", SIX), ("slide", (0.5, 1.25))])
def test_mmsegs_protocol_equals_its_own_model(build_model, photograph: Path, mode, scales):
    """mmseg's `tta_pipeline` and `SegTTAModel`, same weights, the same file: every label equal,
    probabilities within 1e-5.
    """
    model = build_model()
    model.data_preprocessor.size_divisor = None
    model.test_cfg = ConfigDict(mode=mode, crop_size=(32, 40), stride=(20, 24))
    steps = [
        [{"type": "Resize", "scale_factor": ratio, "keep_ratio": True} for ratio in scales],
        [{"type": "RandomFlip", "prob": p, "direction": "horizontal"} for p in (0.0, 1.0)],
        [{"type": "PackSegInputs"}],
    ]
    sample = TRANSFORMS.build({"type": "LoadImageFromFile"})({"img_path": str(photograph)})
    data = TRANSFORMS.build({"type": "TestTimeAug", "transforms": steps})(sample)
    every = []
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        tta = SegTTAModel(model)
        step = model.test_step
        model.test_step = lambda data: every.append(step(data)[0]) or [every[-1]]
        merged = tta.test_step(pseudo_collate([data]))[0].pred_sem_seg.data[0]
        del model.test_step
    theirs = torch.stack([one.seg_logits.data.softmax(0) for one in every]).mean(0)

    settings = InferenceSettings(
        mode, (32, 40), (20, 24), scales, flip=True, average="probabilities", protocol="mmseg"
    )
    pixels = image_tensor(read_image(photograph))
    label, confidence = predict_with_confidence(model, pixels, (77, 119), settings)
    assert len(every) == 2 * len(scales) and label.unique().numel() >= 3
    assert torch.equal(label[0].long(), merged)
    torch.testing.assert_close(confidence[0], theirs.amax(0), rtol=0, atol=1e-5)


def test_mmsegs_protocol_is_not_the_official_one(build_model, photograph: Path):
    model = build_model()
    pixels = image_tensor(read_image(photograph))
    x = model.data_preprocessor({"inputs": [pixels[0]], "data_samples": None}, False)["inputs"]
    views = {"scales": SIX, "flip": True, "average": "probabilities"}
    theirs = predict(model, pixels, (77, 119), InferenceSettings(**views, protocol="mmseg"))
    official = predict(model, x, (77, 119), InferenceSettings(**views))
    assert not torch.equal(theirs, official)


def test_mmsegs_protocol_asks_for_the_original_pixels(model):
    with pytest.raises(ValueError, match="input_for"):
        predict(model, image(16, 16), (16, 16), InferenceSettings(flip=True, protocol="mmseg"))

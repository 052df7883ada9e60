from __future__ import annotations

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from isnet.errors import UserError
from isnet.inference import label_prediction, test_time_augmentation
from isnet.inference.evaluation_protocol import InferenceSettings
from isnet.inference.label_prediction import predict, predict_with_confidence
from isnet.inference.segmentor_logits import logits, raw_logits

K = 4


def image(height: int, width: int, seed: int = 0, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 3, 4, 6, generator=generator, dtype=torch.float64)
    fine = torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)
    return F.interpolate(coarse, (height, width), mode="bilinear") * 2 + fine * 0.3


def resized(scores: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)


@torch.no_grad()
def naive_raw(model, x: Tensor) -> Tensor:
    return model.decode_head(model.backbone(x))[1]


def several_classes(label: Tensor) -> None:
    assert label.unique().numel() >= 3, "the test would not see a wrong class"


@pytest.mark.parametrize(("height", "width", "size"), [(48, 80, (48, 80)), (41, 67, (101, 131))])
def test_whole_resizes_the_last_logits_once_to_the_labels_size(model, height, width, size):
    x = image(height, width)
    label = predict(model, x, size, InferenceSettings())
    expected = resized(naive_raw(model, x), size).argmax(1)
    assert label.dtype == torch.uint8 and label.shape == (1, *size)
    several_classes(label)
    assert torch.equal(label.long(), expected)


def test_whole_equals_mmseg_where_mmseg_resizes_once(model):
    x = image(40, 64, batch=2)
    theirs = torch.stack([sample.pred_sem_seg.data[0] for sample in model.predict(x)])
    assert torch.equal(predict(model, x, (40, 64), InferenceSettings()).long(), theirs)


def test_the_average_matters(model):
    x = image(45, 71)
    views = {"scales": (0.5, 1.0, 1.5), "flip": True}
    one = predict(model, x, (45, 71), InferenceSettings(**views, average="logits"))
    other = predict(model, x, (45, 71), InferenceSettings(**views, average="probabilities"))
    assert not torch.equal(one, other)


def test_memory_does_not_grow_with_the_views(model, monkeypatch):
    x, size = image(24, 40), (96, 160)
    alive: list[int] = []

    def counting(model, x: Tensor) -> Tensor:
        tensors = [item for item in gc.get_objects() if type(item) is Tensor]
        alive.append(sum(tensor.numel() >= K * size[0] * size[1] for tensor in tensors))
        return raw_logits(model, x)

    monkeypatch.setattr(test_time_augmentation, "raw_logits", counting)
    predict(model, x, size, InferenceSettings(scales=(1.0, 0.75), flip=True))
    few = max(alive)
    predict(model, x, size, InferenceSettings(scales=(1.0, 0.75, 0.5, 1.25, 1.5, 1.75), flip=True))
    assert len(alive) == 16 and max(alive) == few


def test_single_scale_never_makes_full_size_logits(model):
    x, size = image(24, 40), (96, 160)
    made = LargestTensor()
    with made:
        predict(model, x, size, InferenceSettings())
        predict_with_confidence(model, x, size, InferenceSettings())
    # What is as large as the label is one number per pixel.
    assert size[0] * size[1] <= made.values < K * size[0] * size[1] / 2


class LargestTensor(TorchFunctionMode):
    """Keeps the number of values of the largest tensor that a call made."""

    values = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.values = max(self.values, result.numel())
        return result


def test_logits_have_the_size_asked_for(model):
    assert logits(model, image(24, 40), (30, 50)).shape == (1, K, 30, 50)


def test_a_head_with_its_own_way_to_predict_is_asked_in_that_way(build_model):
    """DAHead answers with three maps of which the first is the prediction."""
    head = build_model(type="DAHead", pam_channels=4, num_convs=None, concat_input=None)
    head = head.double()
    x = image(24, 40)
    theirs = head.predict(x)[0].pred_sem_seg.data
    assert torch.equal(predict(head, x, (24, 40), InferenceSettings()).long(), theirs)


def test_a_diverged_model_is_refused(model):
    torch.nn.init.constant_(model.decode_head.conv_seg.bias, float("nan"))
    with pytest.raises(UserError, match="NaN"):
        predict(model, image(24, 40), (24, 40), InferenceSettings())


def test_one_output_channel_is_refused(model):
    model.out_channels = 1
    with pytest.raises(UserError, match="1 output channels"):
        predict(model, image(24, 40), (24, 40), InferenceSettings())


@pytest.mark.parametrize("views", [{}, {"scales": (0.5, 1.0), "flip": True}])
def test_bf16_runs_the_network_in_it_and_merges_in_float32(build_model, views, monkeypatch):
    model = build_model().eval()
    formats = set()
    model.backbone.register_forward_hook(lambda *call: formats.add(call[-1][-1].dtype))
    x = image(48, 80).float()
    exact, sure = predict_with_confidence(model, x, (48, 80), InferenceSettings(**views))
    assert formats == {torch.float32}
    formats.clear()
    settings = InferenceSettings(**views, precision="bf16")
    label, confidence = predict_with_confidence(model, x, (48, 80), settings)
    assert formats == {torch.bfloat16}
    assert confidence.dtype == torch.float32
    assert not torch.equal(confidence, sure)
    torch.testing.assert_close(confidence, sure, atol=0.05, rtol=0)
    several_classes(exact)
    assert (label == exact).float().mean() > 0.95
    assert next(model.parameters()).dtype == torch.float32


def test_scores_of_windows_that_do_not_fit_in_memory_are_summed_in_bands(model, monkeypatch):
    x, settings = image(90, 60, batch=2), InferenceSettings().with_windows((48, 48))
    wanted, sure = predict_with_confidence(model, x, (90, 60), settings)
    monkeypatch.setattr(label_prediction, "fits_summed", lambda *_: False)
    monkeypatch.setattr(test_time_augmentation, "sliding_window_scores", None)
    found = predict_with_confidence(model, x, (90, 60), settings)
    torch.testing.assert_close(found[1].double(), sure.double())
    assert (found[0] != wanted).float().mean() < 1e-3  # two classes may be equal but for rounding
    assert torch.equal(predict(model, x, (90, 60), settings), found[0])

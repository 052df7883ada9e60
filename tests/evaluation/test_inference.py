from __future__ import annotations

import gc
import itertools

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from torch import Tensor

from isnet.errors import UserError
from isnet.evaluation import inference
from isnet.evaluation.inference import logits, predict, raw_logits, windows
from isnet.evaluation.protocol import ViewSettings

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


def naive_starts(length: int, crop: int, stride: int) -> list[int]:
    if length <= crop:
        return [0]
    starts = list(range(0, length - crop, stride))
    return [*starts, length - crop]


def naive_slide(model, x: Tensor, crop, stride, probabilities: bool) -> Tensor:
    """Sum up window after window and pixel after pixel."""
    height, width = x.shape[2:]
    crop = min(crop[0], height), min(crop[1], width)
    answers: dict[tuple[int, int], list[Tensor]] = {}
    for top in naive_starts(height, crop[0], stride[0]):
        for left in naive_starts(width, crop[1], stride[1]):
            part = x[:, :, top : top + crop[0], left : left + crop[1]]
            scores = resized(naive_raw(model, part), crop)[0]
            scores = scores.softmax(0) if probabilities else scores
            for row, column in itertools.product(range(crop[0]), range(crop[1])):
                answers.setdefault((top + row, left + column), []).append(scores[:, row, column])
    out = torch.empty(1, K, height, width, dtype=x.dtype)
    for (row, column), values in answers.items():
        out[0, :, row, column] = torch.stack(values).mean(0)
    return out


def several_classes(label: Tensor) -> None:
    assert label.unique().numel() >= 3, "the test would not see a wrong class"


@pytest.mark.parametrize(("height", "width", "size"), [(48, 80, (48, 80)), (41, 67, (101, 131))])
def test_whole_resizes_the_last_logits_once_to_the_labels_size(model, height, width, size):
    x = image(height, width)
    label = predict(model, x, size, ViewSettings())
    expected = resized(naive_raw(model, x), size).argmax(1)
    assert label.dtype == torch.uint8 and label.shape == (1, *size)
    several_classes(label)
    assert torch.equal(label.long(), expected)


def test_whole_equals_mmseg_where_mmseg_resizes_once(model):
    x = image(40, 64, batch=2)
    theirs = torch.stack([sample.pred_sem_seg.data[0] for sample in model.predict(x)])
    assert torch.equal(predict(model, x, (40, 64), ViewSettings()).long(), theirs)


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize(("height", "width"), [(48, 80), (45, 71), (24, 80), (17, 19)])
def test_slide_equals_a_sum_over_windows_and_pixels(model, height, width, average):
    x = image(height, width)
    settings = ViewSettings(mode="slide", crop_size=(32, 40), stride=(20, 24), average=average)
    scores = inference._slide(model, x, settings)
    naive = naive_slide(model, x, (32, 40), (20, 24), average == "probabilities")
    torch.testing.assert_close(scores.detach(), naive)
    label = predict(model, x, (height + 3, width * 2), settings)
    assert torch.equal(label.long(), resized(naive, (height + 3, width * 2)).argmax(1))


def test_slide_equals_mmseg(model):
    x = image(45, 71)
    model.test_cfg = ConfigDict(mode="slide", crop_size=(32, 40), stride=(20, 24))
    theirs = model.predict(x)[0].seg_logits.data
    settings = ViewSettings(mode="slide", crop_size=(32, 40), stride=(20, 24))
    torch.testing.assert_close(inference._slide(model, x, settings)[0], theirs)


@pytest.mark.parametrize("per_batch", [1, 2, 5, 100])
def test_windows_in_batches_are_windows_one_at_a_time(model, monkeypatch, per_batch):
    x = image(50, 90, batch=2)
    sizes = []
    monkeypatch.setattr(
        inference, "raw_logits", lambda model, x: sizes.append(len(x)) or raw_logits(model, x)
    )

    def slide(count: int) -> Tensor:
        view = ViewSettings("slide", (32, 40), (20, 24), windows_per_batch=count)
        return inference._slide(model, x, view)

    alone = slide(1)
    places = len(sizes)
    sizes.clear()
    torch.testing.assert_close(slide(per_batch), alone)
    assert len(sizes) == -(-places // per_batch) and sum(sizes) == 2 * places


def test_windows_cover_the_image_and_stay_inside():
    for size in itertools.product((7, 32, 33, 64, 100), (40, 41, 99)):
        seen = torch.zeros(size)
        places = windows(size, (32, 40), (20, 24))
        for top, bottom, left, right in places:
            assert 0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]
            assert (bottom - top, right - left) == (min(32, size[0]), min(40, size[1]))
            seen[top:bottom, left:right] += 1
        assert bool((seen > 0).all()) and len(places) == len(set(places))


def test_windows_of_the_official_cityscapes_protocol():
    places = windows((1024, 2048), (512, 1024), (341, 341))
    assert sorted({top for top, *_ in places}) == [0, 341, 512]
    assert sorted({left for *_, left, _ in places}) == [0, 341, 682, 1023, 1024]


@pytest.mark.parametrize("mode", ["whole", "slide"])
@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_scales_and_flips_equal_the_mean_of_all_views(model, mode, average):
    x, size, scales = image(45, 71), (67, 103), (0.5, 0.75, 1.0, 1.75)
    stacked = []
    for scale in scales:
        view = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        for mirrored in (False, True):
            seen = torch.flip(view, [3]) if mirrored else view
            if mode == "slide":
                scores = naive_slide(model, seen, (32, 40), (20, 24), average == "probabilities")
            else:
                scores = naive_raw(model, seen)
                scores = scores.softmax(1) if average == "probabilities" else scores
            stacked.append(resized(torch.flip(scores, [3]) if mirrored else scores, size))
    expected = torch.stack(stacked).mean(0).argmax(1)
    settings = ViewSettings(mode, (32, 40), (20, 24), scales, flip=True, average=average)
    label = predict(model, x, size, settings)
    several_classes(label)
    assert torch.equal(label.long(), expected)


def test_the_average_matters(model):
    x = image(45, 71)
    views = {"scales": (0.5, 1.0, 1.5), "flip": True}
    one = predict(model, x, (45, 71), ViewSettings(**views, average="logits"))
    other = predict(model, x, (45, 71), ViewSettings(**views, average="probabilities"))
    assert not torch.equal(one, other)


def test_flip_pairs_swap_left_and_right(model, monkeypatch):
    """A model that names a side by where it is: mirrored, it must name the other one."""

    def sides(model, x: Tensor) -> Tensor:
        ramp = torch.linspace(-1, 1, x.shape[3], dtype=x.dtype).expand(1, 1, *x.shape[2:])
        return torch.cat([-ramp, ramp, ramp * 0 - 9, ramp * 0 - 9], 1)

    monkeypatch.setattr(inference, "raw_logits", sides)
    x, size = image(16, 32), (16, 32)
    plain = predict(model, x, size, ViewSettings())
    pairs = predict(model, x, size, ViewSettings(flip=True, flip_pairs=((0, 1),)))
    unpaired = predict(model, x, size, ViewSettings(flip=True))
    assert torch.equal(plain, pairs) and not torch.equal(plain, unpaired)


def test_memory_does_not_grow_with_the_views(model, monkeypatch):
    x, size = image(24, 40), (96, 160)
    alive: list[int] = []

    def counting(model, x: Tensor) -> Tensor:
        tensors = [item for item in gc.get_objects() if type(item) is Tensor]
        alive.append(sum(tensor.numel() >= K * size[0] * size[1] for tensor in tensors))
        return raw_logits(model, x)

    monkeypatch.setattr(inference, "raw_logits", counting)
    predict(model, x, size, ViewSettings(scales=(1.0, 0.75), flip=True))
    few = max(alive)
    predict(model, x, size, ViewSettings(scales=(1.0, 0.75, 0.5, 1.25, 1.5, 1.75), flip=True))
    assert len(alive) == 16 and max(alive) == few


def test_single_scale_never_makes_full_size_logits(model, monkeypatch):
    shapes = []
    resize = inference._resize
    monkeypatch.setattr(
        inference, "_resize", lambda s, size, a: shapes.append(s.shape) or resize(s, size, a)
    )
    predict(model, image(24, 40), (96, 160), ViewSettings())
    assert shapes and all(shape[1] == 1 for shape in shapes)


def test_logits_have_the_size_asked_for(model):
    assert logits(model, image(24, 40), (30, 50)).shape == (1, K, 30, 50)


def test_a_head_with_its_own_way_to_predict_is_asked_in_that_way(build_model):
    """DAHead answers with three maps of which the first is the prediction."""
    head = build_model(type="DAHead", pam_channels=4, num_convs=None, concat_input=None)
    head = head.double()
    x = image(24, 40)
    theirs = head.predict(x)[0].pred_sem_seg.data
    assert torch.equal(predict(head, x, (24, 40), ViewSettings()).long(), theirs)


def test_a_diverged_model_is_refused(model):
    torch.nn.init.constant_(model.decode_head.conv_seg.bias, float("nan"))
    with pytest.raises(UserError, match="NaN"):
        predict(model, image(24, 40), (24, 40), ViewSettings())


def test_one_output_channel_is_refused(model):
    model.out_channels = 1
    with pytest.raises(UserError, match="1 output channels"):
        predict(model, image(24, 40), (24, 40), ViewSettings())

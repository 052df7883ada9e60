"""`ISNetHead` in float32, bfloat16 and float16: finite under extremes, and near float64."""

from __future__ import annotations

import math

import pytest
import torch
from heads import backbone_maps, build_head
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

STEPS = 1000
# Size of classifier weights; larger ones make gradients leave float16's range, which is what a
# gradient scaler is for.
EXTREME = {torch.float32: 1e4, torch.bfloat16: 1e4, torch.float16: 1e2}
# Of the largest logit, against float64 on the same weights and maps.
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.06, torch.float16: 0.01}


def autocast(dtype: torch.dtype) -> torch.autocast:
    return torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32)


def samples(batch: int, size: tuple[int, int], num_classes: int) -> list[SegDataSample]:
    labels = torch.randint(0, num_classes, (batch, 1, *size))
    labels[torch.rand(labels.shape) < 0.2] = 255
    return [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]


def shake(head: nn.Module, extreme: float) -> None:
    """Make logits extreme: classifiers of any size up to `extreme`, now and then a dead norm."""
    with torch.no_grad():
        for classifier in (head.decoder_stage1[-1], head.decoder_stage2[-1]):
            classifier.weight.normal_().mul_(extreme ** torch.rand(()))
            classifier.bias.normal_().mul_(extreme ** torch.rand(()))
        norm = head.slc_net.correlate_net.query_project[1].bn
        norm.weight.fill_(0.0 if torch.rand(()) < 0.1 else 10.0)


def step(head: nn.Module, dtype: torch.dtype) -> tuple[list[Tensor], Tensor]:
    """Return logits and losses, and the loss to learn from, of random maps and labels."""
    scale = 10 ** (2 * torch.rand(()).item() - 1)
    with autocast(dtype):
        logits = head([scale * x for x in backbone_maps(2, 3, 4)])
        losses = head.loss_by_feat(logits, samples(2, (12, 16), 5))
    return [*logits, *losses.values()], losses["loss_stage1"] + losses["loss_stage2"]


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_a_thousand_random_steps_with_extreme_logits_stay_finite(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    head = build_head(5).float().train()
    parameters = list(head.parameters())
    statistics = [buffer for buffer in head.buffers() if buffer.is_floating_point()]
    if dtype == torch.float16:  # no training on a CPU, where oneDNN takes twice as long for it
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    for number in range(STEPS):
        shake(head, EXTREME[dtype])
        for parameter in parameters:
            parameter.grad = None
        found, loss = step(head, dtype)
        loss.backward()
        tensors = [*found, *statistics, *(parameter.grad for parameter in parameters)]
        # The largest magnitude is not finite if any number is not.
        assert get_total_norm(tensors, math.inf).isfinite(), number


def test_logits_and_losses_beyond_float16_stay_finite_in_float16() -> None:
    torch.manual_seed(0)
    head = build_head(5).float().train()
    largest = 0.0
    for _ in range(100):
        shake(head, 1e4)
        with torch.no_grad():
            found, _ = step(head, torch.float16)
        assert all(torch.isfinite(tensor).all() for tensor in found)
        largest = max(largest, found[1].abs().max().item())
    assert largest > torch.finfo(torch.float16).max


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_logits_are_near_those_of_float64(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head = build_head(7).float().eval()
    inputs = backbone_maps(2, 16, 24)
    with autocast(dtype):
        rounded = head(inputs)
    exact = head.double()([x.double() for x in inputs])
    # Stage 1 alone: a rounded arg-max changes classes, and then stage 2 by more than rounding.
    assert rounded[0].dtype == torch.float32
    error = (rounded[0] - exact[0]).abs().max() / exact[0].abs().max()
    assert error < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_head_in_half_precision_predicts_and_learns(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head = build_head(5).to(dtype).train()
    stage1, stage2 = head([x.to(dtype) for x in backbone_maps(2, 6, 8)])
    (stage1.square().mean() + stage2.square().mean()).backward()
    assert stage1.dtype == stage2.dtype == torch.float32
    assert all(torch.isfinite(parameter.grad).all() for parameter in head.parameters())

"""`upsampled_cross_entropy` equals torch's cross-entropy of torch's enlarged logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from isnet.models import upsampled_cross_entropy as module
from isnet.models.upsampled_cross_entropy import (
    _first_sources,
    linear_weights,
    upsampled_cross_entropy,
)


def plain(logits: Tensor, label: Tensor, align_corners: bool) -> Tensor:
    large = F.interpolate(
        logits, label.shape[1:], mode="bilinear", align_corners=align_corners or None
    )
    return F.cross_entropy(large, label, ignore_index=255, reduction="sum")


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("small", "large"),
    [((6, 9), (48, 72)), ((5, 7), (33, 50)), ((1, 1), (8, 8)), ((9, 6), (9, 6)), ((8, 8), (5, 3))],
    ids=["8x", "uneven", "one", "same", "smaller"],
)
@pytest.mark.parametrize("band", [1, 2**22], ids=["rows", "whole"])
def test_value_and_gradient_equal_the_straightforward_form(
    monkeypatch: pytest.MonkeyPatch,
    align_corners: bool,
    small: tuple[int, int],
    large: tuple[int, int],
    band: int,
) -> None:
    monkeypatch.setitem(module._BAND_BYTES, "cpu", band)
    torch.manual_seed(0)
    logits = torch.randn(2, 5, *small, dtype=torch.float64, requires_grad=True)
    label = torch.randint(0, 5, (2, *large))
    label[:, : large[0] // 3] = 255
    expected = plain(logits, label, align_corners)
    (expected_gradient,) = torch.autograd.grad(3 * expected, logits)
    total, right, labelled = upsampled_cross_entropy(
        logits, label, ignore_index=255, align_corners=align_corners
    )
    (gradient,) = torch.autograd.grad(3 * total, logits)
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-12)
    enlarged = F.interpolate(logits, large, mode="bilinear", align_corners=align_corners or None)
    assert right == (enlarged.argmax(1) == label).sum()
    assert labelled == (label != 255).sum()


def test_an_image_without_a_label_costs_nothing() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    total, right, labelled = upsampled_cross_entropy(
        logits, torch.full((1, 8, 8), 255), ignore_index=255
    )
    total.backward()
    assert total == right == labelled == 0
    assert not logits.grad.any()


def test_half_precision_logits_are_computed_in_float32_also_under_autocast() -> None:
    logits = torch.randn(1, 3, 8, 8).bfloat16().requires_grad_()
    label = torch.randint(0, 3, (1, 64, 64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, _, _ = upsampled_cross_entropy(logits, label, ignore_index=255)
    torch.testing.assert_close(total, plain(logits.float(), label, False), rtol=1e-5, atol=1e-5)
    exact = logits.detach().float().requires_grad_()
    (expected,) = torch.autograd.grad(0.7 * plain(exact, label, False), exact)
    (0.7 * total).backward()
    assert logits.grad.dtype == torch.bfloat16
    # Rounded once: no worse than bfloat16's own half unit in the last place.
    torch.testing.assert_close(logits.grad.float(), expected, rtol=2**-8, atol=1e-6)


def test_the_enlarged_logits_are_not_kept() -> None:
    logits = torch.randn(1, 19, 8, 8, requires_grad=True)
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        upsampled_cross_entropy(logits, torch.zeros(1, 64, 64).long(), ignore_index=255)
    assert sum(saved) == logits.numel()


@pytest.mark.parametrize("align_corners", [False, True])
def test_each_row_comes_from_the_two_rows_that_are_named(align_corners: bool) -> None:
    for small, large in ((1, 1), (1, 8), (8, 64), (9, 65), (13, 97), (60, 473), (64, 512), (7, 3)):
        weights = linear_weights(small, large, align_corners, torch.float64, torch.device("cpu"))
        found = _first_sources(small, large, align_corners)
        assert list(found) == weights.ne(0).to(torch.uint8).argmax(1).tolist()

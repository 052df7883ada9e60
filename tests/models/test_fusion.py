"""How a training of the head starts: scale of the contexts, fusion as a residual."""

from __future__ import annotations

from typing import Any

import torch
from heads import backbone_maps, build_head
from torch import Tensor


def _maps() -> list[Tensor]:
    torch.manual_seed(0)
    return [map_.double() for map_ in backbone_maps()]


def _head(**settings: Any) -> Any:
    torch.manual_seed(1)
    return build_head(5, **settings)


def test_a_residual_head_starts_as_the_one_without_context_modules() -> None:
    residual = _head(fusion="residual")
    plain = _head(image_level=False, semantic_level=False)
    plain.load_state_dict(residual.state_dict(), strict=False)
    for mode in (True, False):
        outputs = [head.train(mode)(_maps()) for head in (residual, plain)]
        for stage, expected in zip(*outputs, strict=True):
            assert stage.equal(expected)


def test_a_residual_fusion_learns_and_has_no_activation() -> None:
    """Without contexts' gradients at the first step, it would stay the plain network for ever."""
    head = _head(fusion="residual")
    head(_maps())[1].sum().backward()
    for module in (head.ilc_net, head.slc_net):
        scale = module.bottleneck.bn.weight
        assert scale.grad.abs().sum() > 0
        torch.nn.init.ones_(scale.data)
    fused = head.ilc_net(torch.randn(2, 16, 6, 7, dtype=torch.float64))
    assert (fused < 0).any()


def test_a_residual_head_has_the_parameters_of_the_papers() -> None:
    names = {name: value.shape for name, value in _head().state_dict().items()}
    assert {n: v.shape for n, v in _head(fusion="residual").state_dict().items()} == names


def test_the_contexts_start_at_the_given_scale() -> None:
    small, official = _head(context_gamma=0.25), _head()
    for name, value in small.state_dict().items():
        expected = official.state_dict()[name]
        if name.endswith("out_project.bn.weight"):
            assert value.eq(0.25).all() and expected.eq(1).all()
        else:
            assert value.equal(expected), name

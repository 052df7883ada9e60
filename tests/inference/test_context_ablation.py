"""`benchmarks/context_ablation.py`, where the answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

import isnet.models  # noqa: F401
from isnet.errors import UserError
from isnet.inference.evaluation_protocol import EvaluationProtocol

LEVELS = ("ilc_net", "slc_net")
HEAD = dict(
    type="ISNetHead",
    in_channels=(64,),
    in_index=(3,),
    channels=16,
    transform_channels=8,
    num_classes=4,
    concat_input=False,
    norm_cfg=dict(type="BN"),
)


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import context_ablation

    return context_ablation


@pytest.fixture
def network(build_model):
    """An ISNet that classifies its semantic-level context alone, with warm batch norms."""
    model = build_model()
    with pytest.warns(UserWarning, match="image-level context reaches no output"):
        model.decode_head = MODELS.build(HEAD)
    nn.init.normal_(model.decode_head.decoder_stage1[-1].weight, std=3.0)
    nn.init.normal_(model.decode_head.decoder_stage2[-1].weight, std=3.0)
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.decode_head(model.backbone(torch.randn(2, 3, 64, 96)))
    return model.eval()


def ablate(script, network, dataset) -> dict[str, float]:
    with torch.inference_mode():
        return script.ablate(network, dataset, EvaluationProtocol(), "runs.one")


def test_a_constant_context_is_its_own_mean(script, network, dataset):
    for level in LEVELS:
        norm = getattr(network.decode_head, level).correlate_net.out_project.bn
        nn.init.zeros_(norm.weight)
        nn.init.normal_(norm.bias)
    scores = ablate(script, network, dataset)
    assert list(scores) == ["none", "image level", "semantic level", "both"]
    assert len(set(scores.values())) == 1 and scores["none"] > 0.01


def test_what_the_output_does_not_read_changes_nothing_and_what_it_reads_does(
    script, network, dataset
):
    scores = ablate(script, network, dataset)
    assert scores["image level"] == scores["none"]
    assert scores["semantic level"] == scores["both"] != scores["none"]
    assert ablate(script, network, dataset) == scores  # no hook is left


def test_the_mean_is_over_images_and_positions_per_channel(script, network):
    module = network.decode_head.ilc_net
    seen = []
    maps = [torch.randn(1, 16, *size) for size in ((3, 4), (5, 2))]
    context = script.Context(module)
    with (
        torch.inference_mode(),
        module.correlate_net.register_forward_hook(
            lambda _module, _inputs, out: seen.append(out.flatten(2)[0])
        ),
    ):
        with context.collect_mean():
            for one in maps:
                module(one)
        with context.give_mean():
            replaced = module.correlate_net(maps[0], maps[0].mean((2, 3), keepdim=True))
    mean = torch.cat(seen[:2], dim=1).mean(1)
    torch.testing.assert_close(replaced, mean[None, :, None, None].expand(1, 16, 3, 4))


def test_a_network_without_contexts_is_refused(script, build_model, dataset):
    with pytest.raises(UserError, match=r"^runs.one: has no context module to replace\. Name"):
        ablate(script, build_model(), dataset)

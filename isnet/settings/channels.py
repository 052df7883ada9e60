"""Gives the model of a config as many input channels as the images of its data set have."""

from collections.abc import Iterator, Sequence
from typing import Any

from isnet.errors import UserError
from isnet.images.pixel_format import COLOURS
from isnet.settings.config_file import innermost_dataset
from isnet.settings.params import flatten

_OF_COLOURS = ("PhotoMetricDistortion", "RGB2Gray")
"""Transforms of mmseg that take images as BGR."""
_STATISTICS = ("data_preprocessor.mean", "data_preprocessor.std")
_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def set_channels(config: dict[str, Any], channels: int) -> None:
    """Set the channels of a config's backbone, and of its normalisation, in place.

    A backbone for another number than three channels keeps it. Means and deviations are those of
    all levels until `set_statistics` sets the measured ones.
    """
    backbone = (config.get("model") or {}).get("backbone") or {}
    if backbone and backbone.get("in_channels", COLOURS) == COLOURS:
        backbone["in_channels"] = channels
    set_statistics(config, [127.5] * channels, [73.6] * channels)


def set_statistics(config: dict[str, Any], mean: Sequence[float], std: Sequence[float]) -> None:
    """Set the means and deviations by which a config normalises images of bands, in place."""
    for holder in (config, config.get("model") or {}):
        preprocessor = holder.get("data_preprocessor") or {}
        if preprocessor.get("mean") is not None:
            preprocessor.update(mean=[*mean], std=[*std], bgr_to_rgb=False)
            if preprocessor.get("type") == "SegDataPreProcessor":  # takes one or three means
                preprocessor["type"] = "DevicePreProcessor"


def refuse_statistics(overrides: dict[str, Any], where: str) -> None:
    """Raise UserError if overrides set means or deviations, which `convert` measures in bands."""
    for key in flatten(overrides):
        if key.removeprefix("model.") in _STATISTICS:
            what = "has no effect with `bands`: convert measures means and deviations"
            raise UserError(what, where=f"{where}.{key}", hint="Remove it")


def check_channels(config: dict[str, Any], channels: int, where: str) -> None:
    """Raise UserError if a part of a config is for another number of channels.

    These are its backbone, means, deviations and transforms.
    """
    backbone = (config.get("model") or {}).get("backbone") or {}
    stated = backbone.get("in_channels", COLOURS) if isinstance(backbone, dict) else COLOURS
    if stated != channels:
        raise UserError(
            f"the backbone has in_channels {stated}, and images of the data set have {channels}",
            where=where,
            hint="Remove in_channels: it follows from the data set",
        )
    if channels != COLOURS and "backbone_cfg" in backbone:
        raise UserError(
            f"{backbone.get('type')} has a backbone inside, which takes {COLOURS} channels, "
            f"and images of the data set have {channels}",
            where=where,
            hint="Choose another config",
        )
    _check_statistics(config, channels, where)
    for name in _transforms(config) if channels != COLOURS else ():
        if name in _OF_COLOURS:
            raise UserError(
                f"{name} changes colours, and images of the data set have {channels} channels",
                where=where,
                hint="Leave it out, or take SamplePhotometricDistortion with PackCropInputs",
            )


def _check_statistics(config: dict[str, Any], channels: int, where: str) -> None:
    model = config.get("model") or {}
    preprocessor = model.get("data_preprocessor") or config.get("data_preprocessor") or {}
    for key in ("mean", "std"):
        given = preprocessor.get(key)
        if given is None or (isinstance(given, list | tuple) and len(given) in (1, channels)):
            continue
        raise UserError(
            f"data_preprocessor.{key} is {given}, and images have {channels} channels",
            where=where,
            hint=f"Write a list of {channels} numbers, or of one for all",
        )


def _transforms(config: dict[str, Any]) -> Iterator[str]:
    for name in _LOADERS:
        dataset = innermost_dataset((config.get(name) or {}).get("dataset") or {})
        yield from (str(step.get("type")) for step in dataset.get("pipeline") or ())

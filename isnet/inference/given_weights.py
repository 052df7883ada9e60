"""Opens a weights file from anywhere for an evaluation, in the model that a config describes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.fitting_tensors import load_all
from isnet.checkpoints.weights_formats import WeightsFile
from isnet.checkpoints.weights_metadata import stated_pixel_format
from isnet.errors import UserError
from isnet.images.pixel_format import PixelFormat
from isnet.images.value_range import ValueRange, show_limits
from isnet.inference.model_config import deployed_model, explain_build_errors
from isnet.io.atomic_files import sha256_of
from isnet.records.run_records import WeightsRecord

_log = logging.getLogger(__name__)


class GivenWeights(NamedTuple):
    """A network with all tensors of a weights file, on the CPU, and whose weights they are."""

    network: EncoderDecoder
    record: WeightsRecord


def load_given_weights(
    weights: WeightsFile, origin: str, config: dict[str, Any], name: str, manifest: dict[str, Any]
) -> GivenWeights:
    """Load a file (official, mmseg, isnet, bare, safetensors) into the model of a config.

    Args:
        weights: the opened file.
        origin: its path or address, as the user wrote it.
        config: the resolved config.
        name: the config's name in errors.
        manifest: that of the data set.

    Raises:
        UserError: the file does not fit the model, has the data set's classes in another order, or
            was trained with other bands or another range of values.
    """
    file, classes = weights.path, manifest["classes"]
    _check_pixels(weights, PixelFormat.of(manifest))
    _check_classes(weights.classes, classes, file)
    hint = "Name the config of these weights, with the modules that it imports"
    with explain_build_errors(name, hint):
        network = MODELS.build(deployed_model(config))
    if network.num_classes != len(classes):
        what = f"the model of {name} predicts {network.num_classes} classes, the data set has "
        hint = "Score it on a data set with its classes"
        raise UserError(f"{what}{len(classes)}", where=str(file), hint=hint)
    record = WeightsRecord(
        origin=origin,
        sha256=sha256_of(file),
        format=weights.kind,
        tensors=len(load_all(network, weights, name).tensors),
        states=weights.statements,
    )
    return GivenWeights(network, record)


def with_own_statistics(manifest: dict[str, Any], weights: WeightsFile) -> dict[str, Any]:
    """Return a manifest with the bands that a weights file states, as it was trained with them."""
    stated = stated_pixel_format(weights.meta, str(weights.path))
    if stated is None or stated.bands is None:
        return manifest
    return {**manifest, "bands": stated.bands.model_dump()}


def _check_pixels(weights: WeightsFile, wanted: PixelFormat) -> None:
    """Compare bands and ranges, as far as both the weights and the data set state them."""
    given = stated_pixel_format(weights.meta, str(weights.path))
    if given is None:
        return
    if not _has_same_bands(given, wanted):
        ours, theirs = (
            "colours" if one.bands is None else f"bands {one.bands}" for one in (wanted, given)
        )
        raise UserError(
            f"was trained with {theirs}, and the data set has {ours}",
            where=str(weights.path),
            hint="Score it on a data set with the same `bands`",
        )
    if given.has_range != wanted.has_range:
        depths = ["more than 8 bits" if one.has_range else "8 bits" for one in (given, wanted)]
        _log.info(f"{weights.path} was trained with images of {depths[0]}; these have {depths[1]}")
    if given.has_range and wanted.has_range and _range_of_each(given) != _range_of_each(wanted):
        theirs, ours = (
            ", ".join(" to ".join(show_limits(pair)) for pair in one.ranges)
            for one in (given, wanted)
        )
        pairs = [list(pair) for pair in given.ranges]
        is_one = len({*given.ranges}) == 1
        written = pairs[0] if is_one else pairs
        bands = "" if is_one or wanted.bands else f"`bands: {given.bands}` and "
        raise UserError(
            f"was trained with values from {theirs}, and the images of the data set are read with "
            f"{ours}",
            where=str(weights.path),
            hint=f"Write {bands}`range: {written}` in the description of the data set",
        )


def _has_same_bands(given: PixelFormat, wanted: PixelFormat) -> bool:
    """Compare the numbers of the bands. Any three are red, green and blue beside a photograph."""
    if given.bands is None or wanted.bands is None:
        return given.channels == wanted.channels
    return given.bands.numbers == wanted.bands.numbers


def _range_of_each(one: PixelFormat) -> tuple[ValueRange, ...]:
    return one.ranges * (one.channels if one.bands is None else 1)


def _check_classes(given: list[str] | None, wanted: Sequence[str], file: Path) -> None:
    """Compare class names that a file states: scores of classes in another order mean nothing."""
    if given is None or len(given) != len(wanted):
        return  # another number of classes does not fit the model
    theirs, ours = ([name.strip().lower() for name in names] for names in (given, wanted))
    different = [index for index, name in enumerate(ours) if theirs[index] != name]
    if not different:
        return
    first = different[0]
    what = f"class {first} is {given[first]!r} in the file and {wanted[first]!r} in the data set"
    if sorted(theirs) == sorted(ours):
        hint = "Score it on a data set with the classes in its order"
        raise UserError(f"has the classes in another order: {what}", where=str(file), hint=hint)
    _log.info(f"{file}: {what}; {len(different)} of {len(ours)} class names differ")

"""Opens a weights file from anywhere for an evaluation, in the model that a config describes."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.checkpoint_formats import WeightsFile, open_weights
from isnet.checkpoints.fitting_tensors import load_all
from isnet.errors import UserError
from isnet.inference.model_config import deployed_model, explain_build_errors
from isnet.io.atomic_files import sha256_of
from isnet.io.value_range import ValueRange, range_of, show_limits
from isnet.records.run_records import WeightsRecord

_log = logging.getLogger(__name__)


class GivenWeights(NamedTuple):
    """A network with all tensors of a weights file, on the CPU, and whose weights they are."""

    network: EncoderDecoder
    record: WeightsRecord


def open_given_weights(
    file: Path, origin: str, config: dict[str, Any], name: str, manifest: dict[str, Any]
) -> GivenWeights:
    """Load a file (official, mmseg, isnet, bare, safetensors) into the model of a config.

    Args:
        file: the weights file.
        origin: its path or address, as the user wrote it.
        config: the resolved config.
        name: the config's name in errors.
        manifest: that of the data set.

    Raises:
        UserError: the file cannot be opened, does not fit the model, has the data set's classes in
            another order, or was trained with another range of values.
    """
    weights, classes = open_weights(file), manifest["classes"]
    _check_range(weights, range_of(manifest))
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


def _check_range(weights: WeightsFile, wanted: ValueRange | None) -> None:
    """Compare the ranges of values, if both the weights and the data set state one."""
    given = range_of(weights.meta.get("isnet") or {})
    if given is not None and wanted is not None and given != wanted:
        theirs, ours = (" to ".join(show_limits(one)) for one in (given, wanted))
        raise UserError(
            f"was trained with values from {theirs}, and the images of the data set are read with "
            f"{ours}",
            where=str(weights.path),
            hint=f"Write `range: {list(given)}` in the description of the data set",
        )


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

"""A model opened from its weights file, ready for use."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.checkpoint_formats import open_weights
from isnet.checkpoints.state_dict_check import check_state_dict
from isnet.checkpoints.weights_metadata import WeightsMetadata
from isnet.errors import UserError
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.inference.model_placement import place
from isnet.io.atomic_files import sha256_of

__all__ = ["TrainedModel", "open_model"]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """`network` in evaluation mode on its device, what it is, and the SHA-256 of its file."""

    network: EncoderDecoder = field(repr=False)
    description: WeightsMetadata = field(repr=False)
    file: Path
    sha256: str

    @property
    def device(self) -> torch.device:
        """Where it is."""
        device: torch.device = next(self.network.parameters()).device
        return device

    @property
    def protocol(self) -> EvaluationProtocol:
        """How it looks at an image: once, and in several views where its config has them."""
        pairs = tuple(self.description.flip_pairs)
        return EvaluationProtocol.from_config(self.description.evaluation, flip_pairs=pairs)


def open_model(file: Path, *, gpu: bool = False) -> TrainedModel:
    """Open a weights file of ours, on the first GPU or on the CPU; nothing else is read, and no
    code that the file brings is run. `isnet.mmseg_import.import_mmseg` comes before.

    Raises:
        UserError: there is no such file, it is damaged, it is not self-describing, or its tensors
        are not those of the model that it names.
    """
    weights = open_weights(file)
    description = WeightsMetadata.from_meta(weights.meta, str(file))
    try:
        network: EncoderDecoder = MODELS.build(ConfigDict(description.model))
    except Exception as error:  # what a damaged config raises has no common type
        raise UserError(
            f"its model cannot be built: {' '.join(str(error).split())[:300]}",
            where=str(file),
            hint="Get the file again, or use the isnet that wrote it",
        ) from error
    check_state_dict(
        {name: tuple(value.shape) for name, value in network.state_dict().items()},
        {name: tuple(value.shape) for name, value in weights.tensors.items()},
        file=file,
        model="its own description",
    )
    network.load_state_dict(weights.tensors)
    return TrainedModel(place(network, gpu=gpu), description, file, sha256_of(file))

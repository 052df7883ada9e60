"""Loads trained models for inference."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmseg.models.backbones import ResNet
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.fitting_tensors import check_state_dict
from isnet.checkpoints.weights_formats import WeightsFile, open_weights
from isnet.checkpoints.weights_metadata import WeightsMetadata
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.inference.image_memory import keep_freed_memory
from isnet.inference.model_config import explain_build_errors
from isnet.io.atomic_files import sha256_of
from isnet.machine.host_resources import usable_cores
from isnet.models.float32 import allow_tf32
from isnet.models.isnet_head import ISNetHead


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model loaded from its weights file."""

    network: EncoderDecoder = field(repr=False)
    """The network, in evaluation mode on its device."""
    metadata: WeightsMetadata = field(repr=False)
    file: Path
    sha256: str
    """SHA-256 of the file."""

    @property
    def protocol(self) -> EvaluationProtocol:
        """Inference settings of the evaluation: single-scale, and multi-scale if configured."""
        pairs = tuple(self.metadata.flip_pairs)
        return EvaluationProtocol.from_config(self.metadata.evaluation, flip_pairs=pairs)


def open_model(file: Path, *, gpu: bool = False) -> TrainedModel:
    """Load a weights file that contains its metadata, on the first GPU or on the CPU.

    No other file is read and no code from the file is executed. Call
    `isnet.mmseg_import.import_mmseg` first.

    Raises:
        UserError: the file is missing or damaged, has no metadata, or its tensors do not fit the
            model in its metadata.
    """
    weights = open_weights(file)
    metadata = WeightsMetadata.from_meta(weights.meta, str(file))
    hint = "Get the file again, or use the isnet that wrote it"
    with explain_build_errors(str(file), hint):
        network = MODELS.build(ConfigDict(metadata.model))
    load_tensors(network, weights, "its own metadata")
    return TrainedModel(prepare_for_inference(network, gpu=gpu), metadata, file, sha256_of(file))


def load_tensors(network: EncoderDecoder, weights: WeightsFile, model: str) -> None:
    """Load all tensors of a weights file into a network.

    Raises UserError if they do not fit; the message calls the network `model`.
    """
    check_state_dict(network.state_dict(), weights.tensors, file=weights.path, model=model)
    network.load_state_dict(weights.tensors)


def prepare_for_inference(model: EncoderDecoder, *, gpu: bool) -> EncoderDecoder:
    """Prepare a model for inference: move it to its device and into evaluation mode.

    A ResNet no longer returns the feature maps that an ISNetHead does not read. TF32 is disabled.
    On the CPU torch uses OMP_NUM_THREADS threads, or all cores, and freed memory is kept for reuse.
    """
    allow_tf32(False)
    if not gpu:
        threads = os.environ.get("OMP_NUM_THREADS") or usable_cores()
        torch.set_num_threads(int(threads))
        keep_freed_memory()
    model = model.to("cuda" if gpu else "cpu").eval()
    is_isnet = isinstance(model.decode_head, ISNetHead) and not model.with_neck
    if isinstance(model.backbone, ResNet) and is_isnet:
        _drop_unread_maps(model.backbone, model.decode_head)
    return model


def _drop_unread_maps(backbone: ResNet, head: ISNetHead) -> None:
    """Keep a ResNet from returning the maps that the head does not read, which saves memory."""
    stages = sorted(backbone.out_indices)  # the order in which a ResNet returns them
    read = [index % len(stages) for index in head.in_index]
    kept = sorted(set(read))
    backbone.out_indices = tuple(stages[index] for index in kept)
    head.in_index = [kept.index(index) for index in read]

"""Loads trained models for inference: from a weights file alone, or as a run of params.yaml."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmseg.models.backbones import ResNet
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.checkpoint_formats import WeightsFile, open_weights
from isnet.checkpoints.state_dict_check import check_state_dict
from isnet.checkpoints.weights_metadata import WeightsMetadata
from isnet.data.loading.dataset_config import evaluation_dataset
from isnet.errors import UserError
from isnet.inference.evaluation_protocol import EvaluationProtocol
from isnet.inference.malloc_settings import keep_freed_memory
from isnet.inference.model_config import deployed_model
from isnet.io.atomic_files import sha256_of
from isnet.models.float32 import allow_tf32
from isnet.models.isnet_head import ISNetHead
from isnet.settings.dataset_lookup import table_of
from isnet.settings.plan import Plan, PlannedRun

__all__ = ["TrainedModel", "TrainedRun", "load_run", "open_model", "prepare_for_inference"]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model loaded from its weights file: `network` in evaluation mode on its device."""

    network: EncoderDecoder = field(repr=False)
    metadata: WeightsMetadata = field(repr=False)
    file: Path
    sha256: str

    @property
    def protocol(self) -> EvaluationProtocol:
        """Single-scale settings, and multi-scale settings if the config has them."""
        pairs = tuple(self.metadata.flip_pairs)
        return EvaluationProtocol.from_config(self.metadata.evaluation, flip_pairs=pairs)


def open_model(file: Path, *, gpu: bool = False) -> TrainedModel:
    """Load a weights file that carries its metadata, on the first GPU or on the CPU.

    No other file is read and no code from the file is executed. Call
    `isnet.mmseg_import.import_mmseg` before.

    Raises:
        UserError: the file is missing or damaged, has no metadata, or its tensors do not fit the
        model in its metadata.
    """
    weights = open_weights(file)
    metadata = WeightsMetadata.from_meta(weights.meta, str(file))
    try:
        network = MODELS.build(ConfigDict(metadata.model))
    except Exception as error:  # the exceptions of a damaged config have no common type
        raise UserError(
            f"its model cannot be built: {' '.join(str(error).split())[:300]}",
            where=str(file),
            hint="Get the file again, or use the isnet that wrote it",
        ) from error
    _load(network, weights, "its own metadata")
    return TrainedModel(prepare_for_inference(network, gpu=gpu), metadata, file, sha256_of(file))


@dataclass(frozen=True, eq=False)
class TrainedRun:
    """A run's model in evaluation mode on the run's kind of device, the evaluation settings of its
    config, and the config of its validation split.
    """

    network: EncoderDecoder = field(repr=False)
    protocol: EvaluationProtocol
    dataset: dict[str, Any] = field(repr=False)


def load_run(plan: Plan, planned: PlannedRun) -> TrainedRun:
    """Load the weights of a run into the model of its config.

    Raises:
        UserError: the weights file is missing or damaged, or does not fit the model.
    """
    config, layout = planned.experiment.config, plan.layout
    weights = open_weights(layout.train_results(planned.name) / "weights.pth")
    network = MODELS.build(deployed_model(config))
    _load(network, weights, planned.run.config)
    manifest = layout.dataset_results(planned.run.dataset) / "manifest.json"
    pairs = table_of(plan.params.datasets[planned.run.dataset]).flip_pairs
    gpu = planned.run.devices.kind == "gpu" and torch.cuda.is_available()
    return TrainedRun(
        prepare_for_inference(network, gpu=gpu),
        EvaluationProtocol.from_config(
            config.get("evaluation"), config["model"].get("test_cfg"), pairs
        ),
        evaluation_dataset(config, manifest, layout.data),
    )


def _load(network: EncoderDecoder, weights: WeightsFile, model: str) -> None:
    check_state_dict(
        {name: tuple(value.shape) for name, value in network.state_dict().items()},
        {name: tuple(value.shape) for name, value in weights.tensors.items()},
        file=weights.path,
        model=model,
    )
    network.load_state_dict(weights.tensors)


def prepare_for_inference(model: EncoderDecoder, *, gpu: bool) -> EncoderDecoder:
    """Move a model to its device in evaluation mode, and drop the feature maps of a ResNet that an
    ISNetHead does not read.

    TF32 is disabled. On the CPU torch uses OMP_NUM_THREADS threads, or all cores, and freed memory
    is kept for reuse.
    """
    allow_tf32(False)
    if not gpu:
        threads = os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))
        torch.set_num_threads(int(threads))
        keep_freed_memory()
    model = model.to("cuda" if gpu else "cpu").eval()
    is_isnet = isinstance(model.decode_head, ISNetHead) and not model.with_neck
    if isinstance(model.backbone, ResNet) and is_isnet:
        _drop_unread_maps(model.backbone, model.decode_head)
    return model


def _drop_unread_maps(backbone: ResNet, head: ISNetHead) -> None:
    """Save the memory of the early feature maps, which are the largest per channel."""
    stages = sorted(backbone.out_indices)  # the order in which a ResNet returns them
    read = [index % len(stages) for index in head.in_index]
    kept = sorted(set(read))
    backbone.out_indices = tuple(stages[index] for index in kept)
    head.in_index = [kept.index(index) for index in read]

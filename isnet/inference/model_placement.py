"""A trained model as it is used: its weights loaded, in evaluation mode, on its device."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmseg.models.backbones import ResNet
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

from isnet.checkpoints.checkpoint_folder import load_weights
from isnet.inference.malloc_settings import keep_freed_memory
from isnet.inference.model_config import deployed_model
from isnet.models.float32 import allow_tf32
from isnet.models.folded_norms import fold_norms
from isnet.models.isnet_head import ISNetHead
from isnet.settings.params import Devices

__all__ = ["load_deployed", "place"]


def load_deployed(config: dict[str, Any], weights: Path, devices: Devices) -> EncoderDecoder:
    """Build the config's model and load `weights`; every tensor must have its place."""
    model = MODELS.build(deployed_model(config))
    model.load_state_dict(load_weights(weights)["state_dict"], strict=True)
    return place(model, gpu=devices.kind == "gpu" and torch.cuda.is_available())


def place(model: EncoderDecoder, *, gpu: bool) -> EncoderDecoder:
    """Bring a model to its device, in evaluation mode and for good: batch norms of a ResNet become
    part of its convolutions, and it keeps no map that an ISNetHead does not read.

    Float32 is float32, on a GPU too. On the CPU torch gets the threads of OMP_NUM_THREADS, or all
    cores, and keeps the memory that it has had.
    """
    allow_tf32(False)
    if not gpu:
        threads = os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))
        torch.set_num_threads(int(threads))
        keep_freed_memory()
    placed: EncoderDecoder = model.to("cuda" if gpu else "cpu").eval()
    if isinstance(placed.backbone, ResNet):
        fold_norms(placed.backbone)
        if isinstance(placed.decode_head, ISNetHead) and not placed.with_neck:
            _drop_unread_maps(placed.backbone, placed.decode_head)
    return placed


def _drop_unread_maps(backbone: ResNet, head: ISNetHead) -> None:
    """Spare the memory of the early maps, which are the largest per channel."""
    stages = sorted(backbone.out_indices)  # the order in which a ResNet returns them
    read = [index % len(stages) for index in head.in_index]
    kept = sorted(set(read))
    backbone.out_indices = tuple(stages[index] for index in kept)
    head.in_index = [kept.index(index) for index in read]

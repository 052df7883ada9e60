"""Prepares the `model` part of a config for inference or training with mmseg."""

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

from mmengine.config import ConfigDict

from isnet.checkpoints.pretrained import resolve_pretrained_paths
from isnet.errors import UserError
from isnet.io.message_text import one_line
from isnet.settings.pretrained_references import is_timm_backbone


def deployed_model(config: dict[str, Any]) -> ConfigDict:
    """Return the model config for inference, with BN for SyncBN and without a pretrained file."""
    return model_config(config, pretrained=False, sync_norm="BN")


def model_config(config: dict[str, Any], *, pretrained: bool, sync_norm: str) -> ConfigDict:
    """Return the model of a resolved config with its preprocessor, for inference or training.

    `pretrained`: whether to initialise the backbone from its pretrained file on local disk.
    `sync_norm`: the norm type that replaces SyncBN, which runs only on GPUs.
    """
    model: dict[str, Any] = copy.deepcopy(config["model"])
    if "data_preprocessor" in config and "data_preprocessor" not in model:
        model["data_preprocessor"] = copy.deepcopy(config["data_preprocessor"])
    if not pretrained or is_timm_backbone(model["backbone"]):
        # mmengine cannot read safetensors: the trainer loads an encoder of timm.
        model["pretrained"] = None
        model["backbone"].pop("init_cfg", None)
    else:
        resolve_pretrained_paths(model)
    _replace_sync_norm(model, sync_norm)
    return ConfigDict(model)  # mmseg reads settings as attributes


@contextlib.contextmanager
def explain_build_errors(where: str, hint: str) -> Iterator[None]:
    """Convert the errors of a block that builds a model from a wrong or damaged config."""
    try:
        yield
    except Exception as error:  # they have no common type
        what = f"its model cannot be built: {one_line(error, 1000)}"
        raise UserError(what, where=where, hint=hint) from error


def _replace_sync_norm(node: Any, name: str) -> None:
    if isinstance(node, dict):
        if node.get("type") == "SyncBN":
            node["type"] = name
        node = list(node.values())
    if isinstance(node, list | tuple):
        for value in node:
            _replace_sync_norm(value, name)

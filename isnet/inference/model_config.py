"""The model part of a config, as mmseg builds it for inference or for training."""

from __future__ import annotations

import copy
from typing import Any

from mmengine.config import ConfigDict

from isnet.checkpoints.pretrained import resolve_pretrained_paths

__all__ = ["deployed_model", "model_config"]


def deployed_model(config: dict[str, Any]) -> ConfigDict:
    """Return the config of the model that weights are loaded into: no pretrained file, no sync."""
    return model_config(config, pretrained=False, sync_norm="BN")


def model_config(config: dict[str, Any], *, pretrained: bool, sync_norm: str) -> ConfigDict:
    """Return the config of the model.

    Args:
        config: the resolved config.
        pretrained: whether the backbone starts from its pretrained file, read from local disk.
        sync_norm: the norm that replaces SyncBN.
    """
    model: dict[str, Any] = copy.deepcopy(config["model"])
    if "data_preprocessor" in config and "data_preprocessor" not in model:
        model["data_preprocessor"] = copy.deepcopy(config["data_preprocessor"])
    if not pretrained:
        model["pretrained"] = None
        model["backbone"].pop("init_cfg", None)
    else:
        resolve_pretrained_paths(model)
    _write_sync_norm(model, sync_norm)
    return ConfigDict(model)  # mmseg reads settings as attributes


def _write_sync_norm(node: Any, name: str) -> None:
    """Write another norm for SyncBN, which runs on GPUs only."""
    if isinstance(node, dict):
        if node.get("type") == "SyncBN":
            node["type"] = name
        for value in node.values():
            _write_sync_norm(value, name)
    elif isinstance(node, list | tuple):
        for value in node:
            _write_sync_norm(value, name)

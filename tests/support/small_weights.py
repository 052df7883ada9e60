"""Weights files of an untrained small network, as `isnet train` writes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from isnet.mmseg_import import import_mmseg

import_mmseg()

from mmseg.registry import MODELS  # noqa: E402

from isnet.checkpoints.weights_metadata import WeightsMetadata  # noqa: E402
from isnet.inference.model_config import deployed_model  # noqa: E402
from isnet.settings.config_file import read_config  # noqa: E402
from isnet.settings.dataset_lookup import table_of  # noqa: E402
from isnet.settings.params import StreetsDataset  # noqa: E402

CONFIG = Path("isnet/configs/isnet_res18-half_1xb2-1300_streets-128x256.py")

PAPER_CONFIG = Path("configs/isnet_small.py")


def write_paper_config(checkout: Path) -> None:
    """Write the config of a small network that official weights fit: fused as in the paper."""
    file = checkout / PAPER_CONFIG
    file.parent.mkdir(exist_ok=True)
    head = 'model = dict(decode_head=dict(fusion="paper"))'
    file.write_text(f'_base_ = "../{CONFIG}"\n{head}\n')


def write_small_weights(
    file: Path, change: Callable[[dict[str, Any]], None] | None = None, config: Path = CONFIG
) -> Path:
    """Write one of a `config`; `change` may damage its `meta` before."""
    settings = read_config(config, "test")
    table = table_of(StreetsDataset(kind="streets"))
    settings["model"]["decode_head"]["num_classes"] = len(table.classes)
    settings["model"]["backbone"].pop("init_cfg", None)
    torch.manual_seed(0)
    model = MODELS.build(deployed_model(settings))
    description = WeightsMetadata.from_config(
        settings,
        deployed_model(settings),
        classes=table.classes,
        palette=table.palette,
        flip_pairs=table.flip_pairs,
        provenance={"run": "small", "seed": 0},
    )
    meta: dict[str, Any] = {
        "dataset_meta": {"classes": list(table.classes), "palette": list(table.palette)},
        **description.as_meta(),
    }
    if change is not None:
        change(meta)
    torch.save({"state_dict": model.state_dict(), "meta": meta}, file)
    return file

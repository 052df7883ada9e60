"""Replaces the data set in an mmseg config by a converted data set, given by its manifest."""

import copy
from pathlib import Path
from typing import Any

from isnet.settings.config_file import innermost_dataset


def evaluation_dataset(config: dict[str, Any], manifest: Path, data: Path) -> dict[str, Any]:
    """Return the data set config for evaluation: the `val` split of a manifest.

    The transforms are those of the test pipeline in `config`.
    """
    loader = config.get("test_dataloader") or config["val_dataloader"]
    return manifest_dataset(loader["dataset"], manifest, data, "val", store=None, test_mode=True)


def manifest_dataset(
    dataset: dict[str, Any],
    manifest: Path,
    data: Path,
    split: str,
    *,
    store: str | None,
    test_mode: bool = False,
) -> dict[str, Any]:
    """Return the config of a `ManifestDataset` with the transforms of the config `dataset`.

    Wrappers such as RepeatDataset are dropped. Other arguments are those of `ManifestDataset`.
    """
    pipeline = copy.deepcopy(innermost_dataset(dataset)["pipeline"])
    for step in pipeline:
        if step["type"] == "LoadAnnotations":
            step["reduce_zero_label"] = False  # converted labels are train ids already
    return {
        "type": "ManifestDataset",
        "manifest": str(manifest),
        "data_root": str(data),
        "split": split,
        "store": store,
        "pipeline": pipeline,
        "test_mode": test_mode,
    }

"""The data set part of a config, with a converted manifest as its source."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

__all__ = ["evaluation_dataset", "innermost_dataset", "manifest_dataset"]


def evaluation_dataset(config: dict[str, Any], manifest: Path, data: Path) -> dict[str, Any]:
    """Return the config of the validation split, fed through the config's test pipeline."""
    loader = config.get("test_dataloader") or config["val_dataloader"]
    return manifest_dataset(loader["dataset"], manifest, data, "val", store=None, test_mode=True)


def innermost_dataset(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return the config of the data set inside wrappers such as RepeatDataset."""
    while isinstance(dataset.get("dataset"), dict):
        dataset = dataset["dataset"]
    return dataset


def manifest_dataset(
    dataset: dict[str, Any],
    manifest: Path,
    data: Path,
    split: str,
    *,
    store: str | None,
    test_mode: bool = False,
) -> dict[str, Any]:
    """Replace the source of a config's data set and keep its transforms; wrappers such as
    RepeatDataset fall away.
    """
    dataset = innermost_dataset(dataset)
    pipeline = copy.deepcopy(dataset["pipeline"])
    for step in pipeline:
        if step["type"] == "LoadAnnotations":
            step["reduce_zero_label"] = False  # labels are train ids since conversion
    return {
        "type": "ManifestDataset",
        "manifest": str(manifest),
        "data_root": str(data),
        "split": split,
        "store": store,
        "pipeline": pipeline,
        "test_mode": test_mode,
    }

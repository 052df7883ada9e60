"""Small photographs-like images with labels, as files and as a manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
from mmengine.registry import init_default_scope
from small_data import FLIP_PAIRS, SIZES, Manifest, label, pack_here, picture


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Written to `manifest.json`; images in `data/raw`, labels in `data/labels`."""
    splits: dict[str, list[dict[str, Any]]] = {}
    for folder in ("data/raw", "data/labels"):
        (tmp_path / folder).mkdir(parents=True)
    for split, sizes in SIZES.items():
        splits[split] = []
        for number, (height, width) in enumerate(sizes):
            name = f"{split}{number}.png"
            cv2.imwrite(str(tmp_path / "data/raw" / name), picture(height, width, number))
            cv2.imwrite(str(tmp_path / "data/labels" / name), label(height, width, number))
            entry = {"image": name, "label": name, "height": height, "width": width}
            splits[split].append(entry)
    value = {
        "digest": "d" * 64,
        "classes": ["a", "b", "left", "right"],
        "palette": [[0, 0, 0]] * 4,
        "ignore_index": 255,
        "flip_pairs": FLIP_PAIRS,
        "image_root": "raw",
        "label_root": "labels",
        "splits": splits,
    }
    (tmp_path / "manifest.json").write_text(json.dumps(value))
    return value


@pytest.fixture
def packed(manifest: Manifest, tmp_path: Path) -> Path:
    """The folder of the packed manifest."""
    from isnet.data.packed.packing import pack_dataset

    folder = tmp_path / "data/store"
    assert pack_here(pack_dataset, manifest, tmp_path) is None
    return folder

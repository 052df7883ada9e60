"""Small images with labels, and packing them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZES = {"train": ((300, 600), (257, 512), (40, 30)), "val": ((64, 96),)}
"""Height and width: more than a tile, a tile and a row, less than one."""
FLIP_PAIRS = [[2, 3]]

Manifest = dict[str, Any]


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth areas, edges and noise."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    image[:, width // 2 :] = image[:, width // 2 :] // 2 + rng.integers(0, 128, 3, np.uint8)
    return image


def label(height: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 5, (height // 16 + 1, width // 16 + 1), np.uint8)
    small[small == 4] = 255
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


def pack_here(
    pack: Callable[..., str | None], manifest: Manifest, root: Path, **settings: Any
) -> str | None:
    defaults = {"show": lambda done, total=None, note="": None}
    return pack(
        manifest, root / "data/store", data=root / "data", workers=2, **{**defaults, **settings}
    )

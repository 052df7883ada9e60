"""Small pictures of an image, its truth, its prediction and the errors, for a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from isnet.errors import UserError
from isnet.io.atomic_files import atomic_path
from isnet.metrics.confusion_matrix import Labels

__all__ = [
    "MAX_WIDTH",
    "confidence_image",
    "error_image",
    "mask_image",
    "read_image",
    "write_overlays",
]

Values = npt.NDArray[np.float32]

MAX_WIDTH = 480
_JPEG_QUALITY = 88
_LEVELS = 40
_DIMMED = 0.3
_CONFIDENCE_STEP = 5
"""Of the 256 colours a confidence uses each fifth: steps of 2 % are not seen, but halve the file.
"""


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image file as `(H, W, 3)` uint8 in BGR order. Raises `UserError` on a file that is
    no image.
    """
    data = np.fromfile(path, np.uint8) if path.is_file() else np.empty(0, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise UserError(
            "cannot be read as an image", where=str(path), hint="Run the convert stage again"
        )
    return np.asarray(image, np.uint8)


def mask_image(labels: Labels, palette: Sequence[Sequence[int]]) -> Image.Image:
    """Return labels `(H, W)` as an indexed picture with `palette` (RGB per class); every other
    value is black.
    """
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = np.asarray(palette, np.uint8)
    picture = Image.fromarray(labels)
    picture.putpalette(colours.tobytes())
    return picture


def error_image(
    image: npt.NDArray[np.uint8], truth: Labels, prediction: Labels, ignore_index: int
) -> Image.Image:
    """Return wrong pixels in red over a grey image, ignored pixels dimmed.

    `image` `(H, W, 3)` BGR; `truth`, `prediction` `(H, W)`. Three ramps of 40 levels make one
    indexed picture, half the size of a true-colour one.
    """
    level = (
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.uint16) * (_LEVELS - 1) // 255
    ).astype(np.uint8)
    ignored = truth == ignore_index
    ramp = np.where(ignored, 1, np.where(truth != prediction, 2, 0)).astype(np.uint8)
    grey = np.linspace(0, 255, _LEVELS)
    dimmed = grey * _DIMMED
    red = np.stack([150 + grey * 105 / 255, grey * 0.35, grey * 0.35], axis=1)
    colours = np.concatenate(
        [np.repeat(grey[:, None], 3, 1), np.repeat(dimmed[:, None], 3, 1), red]
    )
    picture = Image.fromarray(ramp * np.uint8(_LEVELS) + level)
    picture.putpalette(colours.round().astype(np.uint8).tobytes())
    return picture


def confidence_image(confidence: Values) -> Image.Image:
    """Return a confidence `(H, W)` in 0..1 as an indexed picture: colour `i` of its palette stands
    for `i / 255`, from dark violet (0) to yellow (1), and every eye and a grey printer see the
    order (viridis).
    """
    steps = np.clip(confidence, 0, 1) * (255 / _CONFIDENCE_STEP)
    picture = Image.fromarray(np.rint(steps).astype(np.uint8) * np.uint8(_CONFIDENCE_STEP))
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)
    picture.putpalette(np.ascontiguousarray(ramp[:, 0, ::-1]).tobytes())
    return picture


def _shrunk(image: npt.NDArray[Any], size: tuple[int, int], interpolation: int) -> npt.NDArray[Any]:
    height, width = size
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), image.dtype)


def write_overlays(
    directory: Path,
    name: str,
    image: npt.NDArray[np.uint8],
    truth: Labels,
    prediction: Labels,
    confidence: Values,
    palette: Sequence[Sequence[int]],
    ignore_index: int = 255,
) -> dict[str, str]:
    """Write `<name>.{image.jpg,truth.png,prediction.png,errors.png,confidence.png}` of at most 480
    pixels width and return the file names by kind.

    `image` `(h, w, 3)` BGR, resized to the labels' shape; `truth`, `prediction` `(H, W)`, resized
    by nearest neighbour; `confidence` `(H, W)` in 0..1.
    """
    height, width = truth.shape
    shrink = min(1.0, MAX_WIDTH / width)
    size = (max(round(height * shrink), 1), max(round(width * shrink), 1))
    small = _shrunk(image, size, cv2.INTER_AREA)
    small_truth = _shrunk(truth, size, cv2.INTER_NEAREST)
    small_prediction = _shrunk(prediction, size, cv2.INTER_NEAREST)
    pictures = {
        "image": (Image.fromarray(np.ascontiguousarray(small[:, :, ::-1])), "jpg"),
        "truth": (mask_image(small_truth, palette), "png"),
        "prediction": (mask_image(small_prediction, palette), "png"),
        "errors": (error_image(small, small_truth, small_prediction, ignore_index), "png"),
        "confidence": (confidence_image(_shrunk(confidence, size, cv2.INTER_AREA)), "png"),
    }
    files = {}
    for kind, (picture, suffix) in pictures.items():
        files[kind] = f"{name}.{kind}.{suffix}"
        with atomic_path(directory / files[kind]) as temporary:
            if suffix == "jpg":
                picture.save(temporary, quality=_JPEG_QUALITY)
            else:
                picture.save(temporary, optimize=True)
    return files

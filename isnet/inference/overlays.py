"""Small images of an input, its label, prediction, errors and confidence for the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from isnet.inference.input_images import RgbImage
from isnet.io.atomic_files import atomic_path
from isnet.metrics.confusion_matrix import Labels

Values = npt.NDArray[np.float32]

MAX_WIDTH = 480
JPEG_QUALITY = 88
_LEVELS = 40
_DIMMED = 0.3
_CONFIDENCE_STEP = 5
"""Every fifth of 256 colours is used: steps of 2 % are not visible and halve the file size."""


def mask_image(labels: Labels, palette: Sequence[Sequence[int]]) -> Image.Image:
    """Return labels `(H, W)` as an indexed image with `palette` (RGB per class); other values are
    black.
    """
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = np.asarray(palette, np.uint8)
    image = Image.fromarray(labels)
    image.putpalette(colours.tobytes())
    return image


def error_image(
    image: RgbImage, label: Labels, prediction: Labels, ignore_index: int
) -> Image.Image:
    """Return wrong pixels in red over a grey image, with ignored pixels dimmed.

    `image` `(H, W, 3)` RGB; `label`, `prediction` `(H, W)`. Three ramps of 40 grey levels give an
    indexed image of half the file size of a true-colour one.
    """
    level = (
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint16) * (_LEVELS - 1) // 255
    ).astype(np.uint8)
    ignored = label == ignore_index
    ramp = np.where(ignored, 1, np.where(label != prediction, 2, 0)).astype(np.uint8)
    grey = np.linspace(0, 255, _LEVELS)
    dimmed = grey * _DIMMED
    red = np.stack([150 + grey * 105 / 255, grey * 0.35, grey * 0.35], axis=1)
    colours = np.concatenate(
        [np.repeat(grey[:, None], 3, 1), np.repeat(dimmed[:, None], 3, 1), red]
    )
    result = Image.fromarray(ramp * np.uint8(_LEVELS) + level)
    result.putpalette(colours.round().astype(np.uint8).tobytes())
    return result


def confidence_image(confidence: Values) -> Image.Image:
    """Return a confidence `(H, W)` in 0..1 as an indexed image whose colour `i` stands for
    `i / 255`: viridis, from dark violet (0) to yellow (1).
    """
    steps = np.clip(confidence, 0, 1) * (255 / _CONFIDENCE_STEP)
    image = Image.fromarray(np.rint(steps).astype(np.uint8) * np.uint8(_CONFIDENCE_STEP))
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)
    image.putpalette(np.ascontiguousarray(ramp[:, 0, ::-1]).tobytes())
    return image


def _resize(image: npt.NDArray[Any], size: tuple[int, int], interpolation: int) -> npt.NDArray[Any]:
    height, width = size
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), image.dtype)


def write_overlays(
    directory: Path,
    name: str,
    image: RgbImage,
    label: Labels,
    prediction: Labels,
    confidence: Values,
    palette: Sequence[Sequence[int]],
    ignore_index: int = 255,
) -> dict[str, str]:
    """Write `<name>.{image.jpg,truth.png,prediction.png,errors.png,confidence.png}`, at most 480
    pixels wide, and return the file names by kind.

    `image` `(h, w, 3)` RGB is resized to the label's shape; `label`, `prediction` `(H, W)` by
    nearest neighbour; `confidence` `(H, W)` in 0..1.
    """
    height, width = label.shape
    shrink = min(1.0, MAX_WIDTH / width)
    size = (max(round(height * shrink), 1), max(round(width * shrink), 1))
    small = _resize(image, size, cv2.INTER_AREA)
    small_label = _resize(label, size, cv2.INTER_NEAREST)
    small_prediction = _resize(prediction, size, cv2.INTER_NEAREST)
    images = {
        "image": Image.fromarray(small),
        "truth": mask_image(small_label, palette),
        "prediction": mask_image(small_prediction, palette),
        "errors": error_image(small, small_label, small_prediction, ignore_index),
        "confidence": confidence_image(_resize(confidence, size, cv2.INTER_AREA)),
    }
    files = {}
    for kind, drawn in images.items():
        suffix = "jpg" if kind == "image" else "png"
        options = {"quality": JPEG_QUALITY} if kind == "image" else {"optimize": True}
        files[kind] = f"{name}.{kind}.{suffix}"
        with atomic_path(directory / files[kind]) as temporary:
            drawn.save(temporary, **options)
    return files

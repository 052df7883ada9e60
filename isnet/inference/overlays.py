"""Draws class colours over images, for `isnet predict` and, as small images, for the report."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from isnet.images.pixel_format import to_picture
from isnet.inference.input_images import Picture, RgbImage
from isnet.io.atomic_files import atomic_path
from isnet.metrics.confusion_matrix import Labels

Values = npt.NDArray[np.float32]

MAX_WIDTH = 480
JPEG_QUALITY = 88
_JPEG_MAX_SIDE = 65500
_OPACITY = 0.5
_ROWS = 512
_LEVELS = 40
_DIMMED = 0.3
_CONFIDENCE_STEP = 5
"""Every fifth of 256 colours is used: steps of 2 % are not visible and halve the file size."""


def mask_image(labels: Labels, palette: Sequence[Sequence[int]]) -> Image.Image:
    """Convert labels `(H, W)` to a palette image; `palette` has the RGB of each class.

    Other values are black.
    """
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    return _apply_palette(labels, colours)


def blend(image: Picture, colours: Image.Image) -> Image.Image:
    """Return `image`, RGB `(H, W, 3)` or bands, half covered by the colours of its classes.

    The result is shrunk by a whole number if a side is longer than that of a JPEG file may be.
    """
    height, width = image.shape[:2]
    shrink = math.ceil(max(height, width) / _JPEG_MAX_SIDE)
    blended = Image.new("RGB", (math.ceil(width / shrink), math.ceil(height / shrink)))
    for top in range(0, height, _ROWS * shrink):
        bottom = min(top + _ROWS * shrink, height)
        photo = Image.fromarray(to_picture(image[top:bottom, 0:width]))
        covered = Image.blend(photo, colours.crop((0, top, width, bottom)).convert("RGB"), _OPACITY)
        blended.paste(covered.reduce(shrink), (0, top // shrink))
    return blended


def _apply_palette(values: npt.NDArray[Any], colours: npt.NDArray[Any]) -> Image.Image:
    image = Image.fromarray(values.astype(np.uint8))
    image.putpalette(colours.round().astype(np.uint8).tobytes())
    return image


def error_image(
    image: RgbImage, label: Labels, prediction: Labels, ignore_index: int
) -> Image.Image:
    """Draw wrong pixels in red over a grey image, with ignored pixels dimmed.

    `image` is `(H, W, 3)` RGB; `label` and `prediction` are `(H, W)`. The result is a palette image
    with three ramps of 40 levels, in half the file size of true colour.
    """
    level = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint16) * (_LEVELS - 1) // 255
    ramp = np.where(label == ignore_index, 1, np.where(label != prediction, 2, 0))
    grey = np.linspace(0, 255, _LEVELS)[:, None]
    red = np.concatenate([150 + grey * 105 / 255, grey * 0.35, grey * 0.35], axis=1)
    colours = np.concatenate([grey.repeat(3, 1), (grey * _DIMMED).repeat(3, 1), red])
    return _apply_palette(ramp * _LEVELS + level, colours)


def confidence_image(confidence: Values) -> Image.Image:
    """Convert confidences `(H, W)` in 0..1 to a palette image in the viridis colours.

    Colour `i` of the palette means `i / 255`, from dark violet (0) to yellow (1).
    """
    steps = np.clip(confidence, 0, 1) * (255 / _CONFIDENCE_STEP)
    ramp = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)
    return _apply_palette(np.rint(steps) * _CONFIDENCE_STEP, ramp[:, 0, ::-1])


def _resize(image: npt.NDArray[Any], size: tuple[int, int], interpolation: int) -> npt.NDArray[Any]:
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=interpolation), image.dtype)


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
    """Write the overlays of an image: `<name>.image.jpg`, and a PNG of each other kind.

    Returns the file names by kind. Overlays are at most 480 pixels wide. `image` `(h, w, 3)` RGB is
    resized to the label. `label`, `prediction` and `confidence` (0..1) are `(H, W)`.
    """
    height, width = label.shape
    shrink = min(1.0, MAX_WIDTH / width)
    size = (max(round(height * shrink), 1), max(round(width * shrink), 1))
    image, confidence = (_resize(one, size, cv2.INTER_AREA) for one in (image, confidence))
    label, prediction = (_resize(one, size, cv2.INTER_NEAREST) for one in (label, prediction))
    images = {
        "image": Image.fromarray(image),
        "truth": mask_image(label, palette),
        "prediction": mask_image(prediction, palette),
        "errors": error_image(image, label, prediction, ignore_index),
        "confidence": confidence_image(confidence),
    }
    files = {kind: f"{name}.{kind}.{'jpg' if kind == 'image' else 'png'}" for kind in images}
    for kind, drawn in images.items():
        with atomic_path(directory / files[kind]) as temporary:
            # Each format ignores the option of the other.
            drawn.save(temporary, quality=JPEG_QUALITY, optimize=kind != "image")
    return files

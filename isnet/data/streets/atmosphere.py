"""From painted sub-pixels to a photograph: texture, light, fog, rain, lens and sensor."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from isnet.data.streets.canvas import OVERSAMPLE, Canvas, depth_of_code
from isnet.data.streets.label_ids import LabelId
from isnet.data.streets.style import Style

__all__ = ["develop"]

Plane = npt.NDArray[np.float32]

_GROUND = (
    LabelId.GROUND,
    LabelId.ROAD,
    LabelId.SIDEWALK,
    LabelId.PARKING,
    LabelId.RAIL_TRACK,
    LabelId.TERRAIN,
)
# Standard deviation of brightness: (broad stains, fine grain).
_GRAIN: dict[LabelId, tuple[float, float]] = {
    LabelId.ROAD: (0.05, 0.05),
    LabelId.PARKING: (0.05, 0.06),
    LabelId.SIDEWALK: (0.04, 0.06),
    LabelId.GROUND: (0.08, 0.08),
    LabelId.RAIL_TRACK: (0.06, 0.14),
    LabelId.TERRAIN: (0.12, 0.2),
    LabelId.VEGETATION: (0.12, 0.28),
    LabelId.BUILDING: (0.05, 0.04),
    LabelId.WALL: (0.08, 0.08),
    LabelId.FENCE: (0.06, 0.06),
}
_OTHER_GRAIN = (0.06, 0.05)
_TILE = 256  # cells of the ground's texture tile, which repeats


def develop(
    canvas: Canvas, style: Style, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the image (H, W, 3) RGB and the label ids (H, W) of a painted canvas."""
    size = (canvas.width, canvas.height)
    image: Plane = cv2.resize(canvas.colour, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    meta = canvas.meta[OVERSAMPLE // 2 :: OVERSAMPLE, OVERSAMPLE // 2 :: OVERSAMPLE]
    labels = np.ascontiguousarray(meta[:, :, 0])
    image *= _texture(canvas, labels, rng)[:, :, None]
    glow = meta[:, :, 2:].astype(np.float32) / 255.0
    light = np.array(style.light, np.float32)
    image *= light + (1.0 - light) * glow
    _add_fog(image, meta[:, :, 1], style)
    if style.rain:
        _add_rain(image, rng)
    _expose(image, rng)
    return np.clip(image, 0, 255).astype(np.uint8), labels


def _octaves(rng: np.random.Generator, height: int, width: int, cells: tuple[int, ...]) -> Plane:
    """Return noise of unit variance with `cells` cells per image height in each octave."""
    total = np.zeros((height, width), np.float32)
    for count in cells:
        shape = (count, max(2, round(count * width / height)))
        coarse = rng.standard_normal(shape, dtype=np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return total / np.float32(len(cells) ** 0.5)


def _texture(canvas: Canvas, labels: npt.NDArray[np.uint8], rng: np.random.Generator) -> Plane:
    """Return factors (H, W) on brightness; on the ground the grain lies in perspective."""
    height, width = labels.shape
    broad = _octaves(rng, height, width, (6, 16))
    fine = _octaves(rng, height, width, (64, 128))
    top = min(max(round(canvas.camera.horizon * height) + 1, 0), height - 1)
    fine_ground = _ground_grain(canvas, top, rng)
    is_ground = np.zeros(256, bool)
    is_ground[list(_GROUND)] = True
    fine[top:] = np.where(is_ground[labels[top:]], fine_ground, fine[top:])
    grain = np.tile(np.array(_OTHER_GRAIN, np.float32), (256, 1))
    grain[LabelId.SKY] = 0.0
    for label, amplitudes in _GRAIN.items():
        grain[label] = amplitudes
    factors: Plane = 1.0 + broad * grain[:, 0][labels] + fine * grain[:, 1][labels]
    return factors


def _ground_grain(canvas: Canvas, top: int, rng: np.random.Generator) -> Plane:
    """Return the grain of the rows from `top` down: a tile, 8 cells per metre, in perspective."""
    camera, height, width = canvas.camera, canvas.height, canvas.width
    tile = rng.standard_normal((_TILE, _TILE), dtype=np.float32)
    rows = (np.arange(top, height) + 0.5) / height
    columns = (np.arange(width) + 0.5) / height
    depth = camera.ground_depth(rows)
    across = (columns[None, :] - camera.centre) * depth[:, None] / camera.focal + camera.x
    map_x = (across * 8.0 % _TILE).astype(np.float32)
    map_y = np.repeat((depth * 8.0 % _TILE).astype(np.float32)[:, None], width, axis=1)
    seen = cv2.remap(tile, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    # Far away a pixel covers many cells, whose mean tends to zero.
    fade = np.clip(16.0 / depth, 0.3, 1.0).astype(np.float32)
    grain: Plane = seen * fade[:, None]
    return grain


def _add_fog(image: Plane, codes: npt.NDArray[np.uint8], style: Style) -> None:
    table = np.exp(-style.fog * depth_of_code(np.arange(256, dtype=np.float64))).astype(np.float32)
    table[1] = np.exp(-style.fog * 40.0)  # the sky: fog is shallow, so some blue stays
    clear = table[codes][:, :, None]
    haze = np.array(style.haze, np.float32) * np.array(style.light, np.float32)
    image *= clear
    image += haze * (1.0 - clear)


def _add_rain(image: Plane, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    streaks = np.zeros((height, width), np.uint8)
    slant = rng.uniform(-0.02, 0.02)
    for u, v in rng.random((160, 2)):
        start = np.array([u * width, v * height])
        end = start + np.array([slant, rng.uniform(0.04, 0.08)]) * height
        cv2.line(
            streaks,
            np.rint(start).astype(int).tolist(),
            np.rint(end).astype(int).tolist(),
            (70,),
            max(1, height // 256),
        )
    image += (255.0 - image) * (streaks[:, :, None].astype(np.float32) / 255.0) * 0.5
    image += (image.mean() - image) * 0.12


def _expose(image: Plane, rng: np.random.Generator) -> None:
    """Apply vignette, tone curve and sensor noise in place."""
    height, width = image.shape[:2]
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    image *= (1.0 - np.float32(rng.uniform(0.03, 0.1)) * (x * x + y * y))[:, :, None]
    np.clip(image, 0.0, 255.0, out=image)
    gamma = np.float32(np.exp(0.1 * rng.standard_normal()))
    image[:] = 255.0 * (image / 255.0) ** gamma
    image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(2.0, 7.0))

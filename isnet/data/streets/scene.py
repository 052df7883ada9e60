"""Appearance of one image: palette, light and weather, and the conversion to a photograph.

The palettes rotate with the image's region: the colour of buses in one region is the colour of
trucks in another, the brick of houses here is the brick of garden walls elsewhere. Colour alone is
therefore ambiguous. Sky, lane markings, pavement and the other objects of the image indicate the
region, which is what image-level and class-level context can learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from isnet.data.streets.canvas import OVERSAMPLE, Canvas, Colour
from isnet.data.streets.label_ids import LabelId

__all__ = ["GROUND_ROLES", "Scene", "develop", "draw_scene"]

RGB = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

_MATERIALS = ((150, 84, 66), (206, 188, 150), (122, 128, 136))
_COATS = ((196, 60, 44), (44, 92, 170), (214, 214, 204))
_GREENS = ((62, 98, 48), (168, 122, 52), (124, 142, 62))
_ROADS = ((84, 84, 88), (142, 138, 132), (112, 102, 100))
_PAVEMENTS = ((154, 148, 142), (98, 96, 100), (158, 124, 112))
_SKIES = ((112, 158, 216), (186, 184, 170), (142, 176, 186))
_CAR_PAINTS = ((176, 178, 182), (36, 38, 42), (226, 226, 224), (150, 36, 36), (40, 66, 122))
# Role: colours by region, how far the role's entry is rotated, spread between images.
_PALETTE = {
    "sky": (_SKIES, 0, 0.07),
    "road": (_ROADS, 0, 0.08),
    "parking": (_ROADS, 0, 0.12),
    "rail track": (_ROADS, 0, 0.13),
    "marking": (((232, 232, 228), (224, 184, 58), (176, 208, 226)), 0, 0.03),
    "pavement": (_PAVEMENTS, 0, 0.08),
    "ground": (_PAVEMENTS, 0, 0.12),
    "vegetation": (_GREENS, 0, 0.09),
    "terrain": (_GREENS, 1, 0.09),
    "building": (_MATERIALS, 0, 0.1),
    "wall": (_MATERIALS, 1, 0.1),
    "fence": (_MATERIALS, 2, 0.1),
    "bus": (_COATS, 0, 0.08),
    "truck": (_COATS, 1, 0.08),
    "train": (_COATS, 2, 0.08),
    "pole": (((92, 96, 98), (66, 82, 74), (172, 174, 172)), 0, 0.08),
    "lamp case": (((40, 42, 44), (196, 158, 40), (64, 84, 70)), 0, 0.05),
    "clothes": (((62, 66, 92), (196, 150, 60), (170, 62, 84)), 0, 0.08),
    "gear": (((214, 216, 60), (232, 120, 40), (120, 206, 70)), 0, 0.08),  # of riders
}
GROUND_ROLES = {
    LabelId.ROAD: "road",
    LabelId.SIDEWALK: "pavement",
    LabelId.TERRAIN: "terrain",
    LabelId.PARKING: "parking",
    LabelId.RAIL_TRACK: "rail track",
    LabelId.GROUND: "ground",
}
"""Role in the palette of each label that lies on the ground."""
# Time of day: probability, factors of light, what the sky is mixed with and how much.
_TIMES = (
    (0.46, (1.04, 1.0, 0.94), (188, 190, 194), 0.0),
    (0.26, (0.84, 0.86, 0.88), (188, 190, 194), 0.6),  # overcast
    (0.16, (1.0, 0.78, 0.6), (226, 178, 142), 0.45),  # evening
    (0.12, (0.5, 0.52, 0.62), (60, 70, 100), 0.35),  # night
)
# Standard deviation of brightness: broad stains, fine grain.
_TEXTURE = {
    LabelId.SKY: (0.0, 0.0),
    LabelId.RAIL_TRACK: (0.06, 0.14),
    LabelId.TERRAIN: (0.12, 0.2),
    LabelId.VEGETATION: (0.12, 0.28),
    LabelId.WALL: (0.08, 0.08),
}
_OTHER_TEXTURE = (0.05, 0.05)


@dataclass(frozen=True)
class Scene:
    """A scene being painted: canvas, random generator, and the appearance that objects share.

    Colours are albedos; `light` multiplies them. `sun` is side and strength of the sun, -1 (left)
    to 1 (right); `fog` is the extinction per metre.
    """

    canvas: Canvas
    rng: np.random.Generator
    colours: dict[str, RGB]
    haze: RGB
    light: RGB
    sun: float
    fog: float

    def colour(self, role: str | Colour, spread: float = 0.06) -> RGB:
        """Draw one object's colour around the image's colour of a role, or around a given one."""
        if role == "car":  # of any colour in every region
            role = self.rng.choice(_CAR_PAINTS)
        base = self.colours[role] if isinstance(role, str) else role
        return _jitter(self.rng, base, spread)


def _jitter(rng: np.random.Generator, colour: Colour, spread: float) -> RGB:
    factor = 1.0 + spread * rng.standard_normal()
    hue = 80.0 * spread * rng.standard_normal(3)
    return np.clip(np.asarray(colour, np.float64) * factor + hue, 8.0, 248.0)


def draw_scene(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """Draw region, palette, time of day and weather of one image."""
    region = int(rng.integers(3))
    colours = {
        role: _jitter(rng, table[(region + shift) % 3], spread)
        for role, (table, shift, spread) in _PALETTE.items()
    }
    time = rng.choice(len(_TIMES), p=[entry[0] for entry in _TIMES])
    _, light, tint, share = _TIMES[time]
    sky = colours["sky"] = (1.0 - share) * colours["sky"] + share * np.array(tint)
    exposure = np.exp(0.13 * rng.standard_normal()) * (1.0 + 0.045 * rng.standard_normal(3))
    fog = rng.uniform(0.012, 0.035) if rng.random() < 0.22 else rng.uniform(0.001, 0.006)
    haze = 0.45 * sky + 0.55 * np.array((222.0, 222.0, 220.0))
    return Scene(canvas, rng, colours, haze, light * exposure, rng.uniform(-1.0, 1.0), fog)


def develop(
    scene: Scene, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the image `(H, W, 3)` RGB and label ids `(H, W)`: texture, light, fog and noise."""
    canvas, inside = scene.canvas, slice(OVERSAMPLE // 2, None, OVERSAMPLE)
    labels = np.ascontiguousarray(canvas.labels[inside, inside])
    size, light = labels.shape[::-1], scene.light.astype(np.float32)
    image: Plane = cv2.resize(canvas.colour, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    image *= _texture(labels, rng)[:, :, None] * light
    rows = (np.arange(len(labels)) + 0.5) / len(labels)
    on_ground = canvas.camera.ground_depth(rows)[:, None]
    is_ground = np.isin(labels, list(GROUND_ROLES))
    depth = np.where(is_ground, on_ground, 0.5 * canvas.depth[inside, inside])
    clear = np.exp(-scene.fog * depth).astype(np.float32)[:, :, None]
    image = image * clear + scene.haze.astype(np.float32) * light * (1.0 - clear)
    gamma = np.float32(np.exp(0.1 * rng.standard_normal()))
    noise = np.float32(rng.uniform(2.0, 7.0)) * rng.standard_normal(image.shape, np.float32)
    exposed = 255.0 * (image.clip(0.0, 255.0) / 255.0) ** gamma + noise
    return exposed.clip(0, 255).astype(np.uint8), labels


def _texture(labels: npt.NDArray[np.uint8], rng: np.random.Generator) -> Plane:
    """Return factors `(H, W)` on the brightness, stronger for rough materials."""
    height, width = labels.shape
    amplitudes = np.tile(np.array(_OTHER_TEXTURE, np.float32), (256, 1))
    for label, pair in _TEXTURE.items():
        amplitudes[label] = pair
    factors = np.ones((height, width), np.float32)
    for column, cells in ((0, 6), (0, 16), (1, 64), (1, 128)):
        coarse = rng.standard_normal((cells, max(2, round(cells * width / height))), np.float32)
        noise = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        factors += np.float32(0.5**0.5) * noise * amplitudes[:, column][labels]
    return factors

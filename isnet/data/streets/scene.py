"""Samples palette, light and weather of an image, and renders the painted scene with them.

Each image belongs to a random region, on which the colours of classes depend: the colour of buses
in one region is that of trucks in another. Colour alone is therefore ambiguous. The region can be
seen from sky, lane markings, pavement and other objects, as image-level and class-level context can
learn.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from isnet.data.streets.canvas import OVERSAMPLE, Canvas, Colour, LabelId

RGB = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

_MATERIALS = ((150, 84, 66), (206, 188, 150), (122, 128, 136))
_COATS = ((196, 60, 44), (44, 92, 170), (214, 214, 204))
_GREENS = ((62, 98, 48), (168, 122, 52), (124, 142, 62))
_ROADS = ((84, 84, 88), (142, 138, 132), (112, 102, 100))
_PAVEMENTS = ((154, 148, 142), (98, 96, 100), (158, 124, 112))
_SKIES = ((112, 158, 216), (186, 184, 170), (142, 176, 186))
_CAR_PAINTS = ((176, 178, 182), (36, 38, 42), (226, 226, 224), (150, 36, 36), (40, 66, 122))
# Colours by region, how far the entry is rotated, spread between images.
_PALETTE: dict[LabelId | str, tuple[tuple[Colour, ...], int, float]] = {
    LabelId.SKY: (_SKIES, 0, 0.07),
    LabelId.ROAD: (_ROADS, 0, 0.08),
    LabelId.PARKING: (_ROADS, 0, 0.12),
    LabelId.RAIL_TRACK: (_ROADS, 0, 0.13),
    LabelId.SIDEWALK: (_PAVEMENTS, 0, 0.08),
    LabelId.GROUND: (_PAVEMENTS, 0, 0.12),
    LabelId.VEGETATION: (_GREENS, 0, 0.09),
    LabelId.TERRAIN: (_GREENS, 1, 0.09),
    LabelId.BUILDING: (_MATERIALS, 0, 0.1),
    LabelId.WALL: (_MATERIALS, 1, 0.1),
    LabelId.FENCE: (_MATERIALS, 2, 0.1),
    LabelId.BUS: (_COATS, 0, 0.08),
    LabelId.TRUCK: (_COATS, 1, 0.08),
    LabelId.TRAIN: (_COATS, 2, 0.08),
    LabelId.POLE: (((92, 96, 98), (66, 82, 74), (172, 174, 172)), 0, 0.08),
    LabelId.TRAFFIC_LIGHT: (((40, 42, 44), (196, 158, 40), (64, 84, 70)), 0, 0.05),
    LabelId.PERSON: (((62, 66, 92), (196, 150, 60), (170, 62, 84)), 0, 0.08),
    LabelId.RIDER: (((214, 216, 60), (232, 120, 40), (120, 206, 70)), 0, 0.08),
    "marking": (((232, 232, 228), (224, 184, 58), (176, 208, 226)), 0, 0.03),
}
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
    """The canvas of a scene, its random generator, and the appearance that all objects share.

    `colours` are albedos, which are multiplied by `light`. `fog` is the extinction per metre, and
    `haze` the colour of the fog.
    """

    canvas: Canvas
    rng: np.random.Generator
    colours: dict[LabelId | str, RGB]
    haze: RGB
    light: RGB
    fog: float

    def colour(self, base: LabelId | Colour, spread: float = 0.08) -> RGB:
        """Sample the colour of an object near a mean colour.

        The mean is `base`, or the colour of the label `base` in this image. `spread` is the
        relative standard deviation of the brightness.
        """
        if base is LabelId.CAR:  # of any colour in every region
            base = _CAR_PAINTS[int(self.rng.integers(len(_CAR_PAINTS)))]
        mean = self.colours[base] if isinstance(base, LabelId) else base
        return _jitter(self.rng, mean, spread)


def _jitter(rng: np.random.Generator, colour: Colour, spread: float) -> RGB:
    factor = 1.0 + spread * rng.standard_normal()
    hue = 80.0 * spread * rng.standard_normal(3)
    return np.clip(np.asarray(colour, np.float64) * factor + hue, 8.0, 248.0)


def draw_scene(canvas: Canvas, rng: np.random.Generator) -> Scene:
    """Sample the region, palette, time of day and weather of one image."""
    region = int(rng.integers(3))
    colours = {
        role: _jitter(rng, table[(region + shift) % 3], spread)
        for role, (table, shift, spread) in _PALETTE.items()
    }
    time = rng.choice(len(_TIMES), p=[entry[0] for entry in _TIMES])
    _, light, tint, share = _TIMES[time]
    sky = colours[LabelId.SKY] = (1.0 - share) * colours[LabelId.SKY] + share * np.array(tint)
    exposure = np.exp(0.13 * rng.standard_normal()) * (1.0 + 0.045 * rng.standard_normal(3))
    fog = rng.uniform(0.012, 0.035) if rng.random() < 0.22 else rng.uniform(0.001, 0.006)
    haze = 0.45 * sky + 0.55 * np.array((222.0, 222.0, 220.0))
    return Scene(canvas, rng, colours, haze, light * exposure, fog)


def develop(
    scene: Scene, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Render the painted scene to an image `(H, W, 3)` RGB and label ids `(H, W)`.

    Sub-pixels are averaged, then texture, light, fog and sensor noise are applied.
    """
    canvas, inside = scene.canvas, slice(OVERSAMPLE // 2, None, OVERSAMPLE)
    labels = np.ascontiguousarray(canvas.labels[inside, inside])
    size, light = labels.shape[::-1], scene.light.astype(np.float32)
    image: Plane = cv2.resize(canvas.colour, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    image *= _texture(labels, rng)[:, :, None] * light
    rows = (np.arange(len(labels)) + 0.5) / len(labels)
    depth = 0.5 * canvas.depth[inside, inside]
    depth = np.where(depth > 0.0, depth, canvas.camera.ground_depth(rows)[:, None])
    clear = np.exp(-scene.fog * depth).astype(np.float32)[:, :, None]
    image = image * clear + scene.haze.astype(np.float32) * light * (1.0 - clear)
    gamma = np.float32(np.exp(0.1 * rng.standard_normal()))
    noise = np.float32(rng.uniform(2.0, 7.0)) * rng.standard_normal(image.shape, np.float32)
    exposed = 255.0 * (image.clip(0.0, 255.0) / 255.0) ** gamma + noise
    return exposed.clip(0, 255).astype(np.uint8), labels


def _texture(labels: npt.NDArray[np.uint8], rng: np.random.Generator) -> Plane:
    """Sample a texture `(H, W)`: factors by which the brightness of pixels is multiplied.

    The factors vary more for rough materials.
    """
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

"""Street furniture: poles, lamps, traffic lights, traffic signs, guard rails and what is void."""

from __future__ import annotations

import math

import numpy as np

from isnet.data.streets.canvas import Canvas, Colour, Face, boxes_along, shaded
from isnet.data.streets.label_ids import LabelId
from isnet.data.streets.style import Style, jittered

__all__ = [
    "paint_bin",
    "paint_guard_rail",
    "paint_lamp",
    "paint_pole_group",
    "paint_sign",
    "paint_traffic_light",
    "paint_trolley",
]

_PLATES: tuple[tuple[str, Colour, Colour], ...] = (
    ("disc", (192, 34, 34), (236, 236, 232)),
    ("disc", (36, 76, 168), (232, 232, 232)),
    ("triangle", (196, 36, 34), (238, 236, 226)),
    ("square", (36, 84, 172), (230, 232, 236)),
    ("diamond", (236, 236, 230), (232, 186, 40)),
)


_CASES: tuple[Colour, ...] = ((40, 42, 44), (196, 158, 40), (64, 84, 70))  # by region


def _paint_pole(
    canvas: Canvas, style: Style, x: float, z: float, height: float, width: float = 0.3
) -> Face:
    face = Face((x, 0.0, z))
    half = width / 2
    canvas.rectangle(face, (-half, half), (0.0, height), style.pole, LabelId.POLE)
    canvas.rectangle(face, (0.2 * half, half), (0.0, height), shaded(style.pole, 0.72), None)
    return face


def paint_lamp(canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a street lamp whose arm reaches over the road."""
    height = rng.uniform(5.5, 7.5)
    face = _paint_pole(canvas, style, x, z, height, 0.34)
    reach = -math.copysign(rng.uniform(1.0, 1.8), x)
    canvas.limb(face, (0.0, height - 0.1), (reach, height), 0.14, style.pole, LabelId.POLE)
    colour: Colour = (255, 232, 170) if style.night else (200, 200, 196)
    span = (reach - 0.35, reach + 0.35)
    glow = 255 if style.night else 0
    canvas.rectangle(face, span, (height - 0.12, height + 0.14), colour, LabelId.STATIC, glow)


def paint_pole_group(
    canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float
) -> None:
    """Paint a cluster of poles too close to tell apart (void in training)."""
    face = Face((x, 0.0, z))
    for s in (-0.3, 0.0, 0.3):
        top = rng.uniform(2.5, 4.5)
        canvas.rectangle(face, (s - 0.1, s + 0.1), (0.0, top), style.pole, LabelId.POLEGROUP)


def paint_traffic_light(
    canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float
) -> None:
    """Paint a traffic light on a pole, one of three lamps lit; sometimes a second one below."""
    height = rng.uniform(3.2, 4.2)
    face = _paint_pole(canvas, style, x, z, height)
    label = LabelId.TRAFFIC_LIGHT
    lamps: tuple[Colour, ...] = ((40, 214, 110), (250, 186, 44), (246, 44, 36))
    lit = int(rng.integers(3))
    case = (_CASES[style.region], style.pole)[int(rng.random() < 0.3)]
    for base in (height - 0.5, height - 2.3)[: 1 + int(rng.random() < 0.35)]:
        canvas.rectangle(face, (-0.4, 0.4), (base - 0.1, base + 1.6), case, label)
        for index, lamp in enumerate(lamps):
            colour = lamp if index == lit else shaded(lamp, 0.22)
            centre = (0.0, base + 0.2 + 0.54 * index)
            canvas.disc(face, centre, 0.25, colour, label, glow=230 if index == lit else 0)


def paint_sign(canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint one or two traffic signs on a pole: a shape with a rim and a symbol."""
    height = rng.uniform(2.4, 3.2)
    face = _paint_pole(canvas, style, x, z, height)
    radius = rng.uniform(0.56, 0.76)
    for level in range(1 + int(rng.random() < 0.35)):
        shape, rim, inside = _PLATES[int(rng.integers(len(_PLATES)))]
        centre = np.array([0.0, height - 2.0 * radius * level])
        for scale, colour in ((1.0, rim), (0.72, inside)):
            label = LabelId.TRAFFIC_SIGN if scale == 1.0 else None
            canvas.polygon(face, _outline(shape) * radius * scale + centre, colour, label)
        symbol = 0.3 * radius
        mark: Colour = (40, 40, 44)
        canvas.rectangle(face, (-symbol, symbol), (centre[1] - 0.06, centre[1] + 0.06), mark, None)


def _outline(shape: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    corners, start = {
        "disc": (14, 0.0),
        "triangle": (3, 90.0),
        "square": (4, 45.0),
        "diamond": (4, 0.0),
    }[shape]
    angles = np.radians(start + np.arange(corners) * 360.0 / corners)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def paint_bin(canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float) -> None:
    """Paint a litter bin or box (static, void in training)."""
    face, height = Face((x, 0.0, z)), rng.uniform(0.8, 1.3)
    colour = jittered(rng, shaded(style.fence, 0.7), 0.15)
    canvas.rectangle(face, (-0.4, 0.4), (0.0, height), colour, LabelId.STATIC)
    canvas.rectangle(
        face, (-0.45, 0.45), (height - 0.15, height), shaded(colour, 0.7), LabelId.STATIC
    )


def paint_trolley(
    canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float
) -> None:
    """Paint a trolley or push-chair (dynamic, void in training)."""
    face = Face((x, 0.0, z))
    colour = jittered(rng, style.clothes, 0.2)
    canvas.polygon(
        face, [(-0.35, 0.3), (0.35, 0.3), (0.45, 0.9), (-0.3, 0.8)], colour, LabelId.DYNAMIC
    )
    for s in (-0.25, 0.25):
        canvas.disc(face, (s, 0.14), 0.14, (34, 34, 36), LabelId.DYNAMIC)
    canvas.limb(face, (0.4, 0.85), (0.65, 1.05), 0.07, (90, 90, 92), LabelId.DYNAMIC)


def paint_guard_rail(
    canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float
) -> None:
    """Paint a stretch of guard rail along the road (void in training)."""
    length = rng.uniform(8.0, 16.0)
    face = Face((x, 0.0, z), (0.0, 0.0, 1.0))
    posts = boxes_along(np.arange(0.0, length, 2.0), 0.15, (0.0, 0.5))
    canvas.rectangles(face, posts, (120, 122, 124), LabelId.GUARD_RAIL)
    canvas.rectangle(face, (0.0, length), (0.42, 0.75), shaded(style.pole, 1.2), LabelId.GUARD_RAIL)

"""Pedestrians, two-wheelers and their riders, as flat figures that face the camera."""

from __future__ import annotations

import numpy as np

from isnet.data.streets.canvas import Canvas, Colour, Face, shaded
from isnet.data.streets.label_ids import LabelId
from isnet.data.streets.style import Style, jittered

__all__ = ["paint_bicycle", "paint_motorcycle", "paint_person"]

_SKINS: tuple[Colour, ...] = ((226, 184, 152), (180, 128, 96), (112, 76, 56))
_TYRE: Colour = (30, 30, 32)


def _skin(rng: np.random.Generator) -> Colour:
    return _SKINS[int(rng.integers(len(_SKINS)))]


def _paint_foot_shadow(canvas: Canvas, style: Style, x: float, z: float, half: float) -> None:
    lean = -style.sun * 1.2 * style.hard_light
    corners = [
        (x - half, 0, z - 0.15),
        (x + half, 0, z - 0.15),
        (x + half + lean, 0, z + 0.5),
        (x - half + lean, 0, z + 0.5),
    ]
    canvas.shadow(np.array(corners, dtype=np.float64), 0.4)


def paint_person(
    canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float
) -> None:
    """Paint a standing or walking person, 1.5-1.95 m tall."""
    tall = rng.uniform(1.5, 1.95)
    broad = rng.uniform(0.42, 0.56)
    stride = rng.uniform(0.05, 0.32)
    swing = rng.uniform(-0.25, 0.25)
    coat = jittered(rng, style.clothes, 0.1)
    trousers = jittered(rng, (54, 56, 66), 0.2)
    label = LabelId.PERSON
    _paint_foot_shadow(canvas, style, x, z, 0.25)
    face = Face((x, 0.0, z))
    hip, neck = 0.48 * tall, 0.83 * tall
    canvas.limb(face, (-0.08, hip), (-stride, 0.0), 0.19, shaded(trousers, 0.85), label)
    canvas.limb(face, (0.08, hip), (stride, 0.0), 0.19, trousers, label)
    canvas.limb(
        face, (-broad / 2, neck - 0.08), (-broad / 2 - 0.05 + swing, hip), 0.14, coat, label
    )
    canvas.limb(face, (broad / 2, neck - 0.08), (broad / 2 + 0.05 - swing, hip), 0.14, coat, label)
    torso = [
        (-0.42 * broad, hip - 0.08),
        (0.42 * broad, hip - 0.08),
        (broad / 2, neck),
        (-broad / 2, neck),
    ]
    canvas.polygon(face, torso, coat, label)
    canvas.disc(face, (0.0, 0.915 * tall), 0.085 * tall, _skin(rng), label)
    hair = [(-0.13, 0.94 * tall), (0.13, 0.94 * tall), (0.09, tall), (-0.09, tall)]
    canvas.polygon(face, hair, jittered(rng, (58, 42, 32), 0.2), None)


def _paint_rider(
    canvas: Canvas, style: Style, rng: np.random.Generator, face: Face, turn: float, seat: float
) -> None:
    """Paint who sits on a two-wheeler; `turn` (signed) foreshortens and mirrors."""
    label = LabelId.RIDER
    coat, trousers = jittered(rng, style.gear, 0.08), jittered(rng, (50, 52, 60), 0.2)
    hip, shoulder = (-0.18 * turn, seat), (0.1 * turn, seat + 0.56)
    canvas.limb(face, hip, (0.2 * turn, seat - 0.28), 0.19, trousers, label)
    canvas.limb(face, (0.2 * turn, seat - 0.28), (0.02 * turn, seat - 0.68), 0.16, trousers, label)
    canvas.limb(face, (hip[0], hip[1] - 0.1), shoulder, 0.42, coat, label)
    canvas.limb(face, shoulder, (0.46 * turn, seat + 0.18), 0.14, shaded(coat, 0.88), label)
    head = (0.2 * turn, seat + 0.76)
    canvas.disc(face, head, 0.15, _skin(rng), label)
    helmet = [
        (head[0] - 0.17, head[1] + 0.02),
        (head[0] + 0.17, head[1] + 0.02),
        (head[0] + 0.1, head[1] + 0.18),
        (head[0] - 0.1, head[1] + 0.18),
    ]
    canvas.polygon(face, helmet, jittered(rng, style.gear, 0.15), label)


def _turn(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.6, 1.0) * (1 if rng.random() < 0.5 else -1))


def paint_bicycle(
    canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float, ridden: bool
) -> None:
    """Paint a bicycle; wheels are labelled with what shows between the spokes, as in Cityscapes."""
    label, turn = LabelId.BICYCLE, _turn(rng)
    frame = jittered(rng, (150, 60, 50), 0.4)
    _paint_foot_shadow(canvas, style, x, z, 0.7)
    face = Face((x, 0.0, z))
    rear, front, crank, seat, bar = (
        (-0.56, 0.36),
        (0.56, 0.36),
        (-0.05, 0.34),
        (-0.2, 0.92),
        (0.44, 0.98),
    )
    for hub in (rear, front):
        centre = (hub[0] * turn, hub[1])
        canvas.disc(face, centre, 0.38, _TYRE, label, abs(turn))
        canvas.disc(face, centre, 0.29, (128, 128, 126), None, abs(turn))
        canvas.disc(face, centre, 0.07, _TYRE, None, abs(turn))
    for a, b in (
        (rear, crank),
        (rear, seat),
        (crank, seat),
        (crank, bar),
        (seat, bar),
        (front, bar),
    ):
        canvas.limb(face, (a[0] * turn, a[1]), (b[0] * turn, b[1]), 0.09, frame, label)
    canvas.limb(face, (-0.32 * turn, 0.94), (-0.08 * turn, 0.94), 0.09, _TYRE, label)
    canvas.limb(face, (0.34 * turn, 1.02), (0.5 * turn, 1.02), 0.08, _TYRE, label)
    if ridden:
        _paint_rider(canvas, style, rng, face, turn, 0.98)


def paint_motorcycle(
    canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float, ridden: bool
) -> None:
    """Paint a motorcycle: thick wheels and a closed, painted body."""
    label, turn = LabelId.MOTORCYCLE, _turn(rng)
    paint = jittered(rng, (60, 70, 130), 0.4)
    _paint_foot_shadow(canvas, style, x, z, 0.9)
    face = Face((x, 0.0, z))
    for s in (-0.7 * turn, 0.7 * turn):
        canvas.disc(face, (s, 0.34), 0.36, _TYRE, label, abs(turn))
        canvas.disc(face, (s, 0.34), 0.15, (150, 150, 150), None, abs(turn))
    mirror = np.array([turn, 1.0])
    body = np.array(
        [
            (-0.7, 0.5),
            (-0.5, 0.3),
            (0.35, 0.26),
            (0.55, 0.55),
            (0.62, 1.0),
            (0.36, 1.02),
            (0.05, 0.8),
            (-0.75, 0.86),
        ]
    )
    canvas.polygon(face, body * mirror, paint, label)
    engine = np.array([(-0.3, 0.24), (0.3, 0.24), (0.25, 0.58), (-0.25, 0.58)])
    canvas.polygon(face, engine * mirror, (72, 72, 74), None)
    canvas.limb(face, (-0.75 * turn, 0.84), (0.0, 0.84), 0.16, (34, 32, 32), label)
    canvas.limb(face, (0.68 * turn, 0.34), (0.48 * turn, 1.1), 0.12, (150, 150, 152), label)
    canvas.disc(
        face, (0.62 * turn, 0.96), 0.12, (240, 236, 210), label, glow=220 if style.night else 30
    )
    if ridden:
        _paint_rider(canvas, style, rng, face, turn, 0.92)

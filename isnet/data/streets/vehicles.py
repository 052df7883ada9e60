"""Cars, trucks, buses, trains, caravans, trailers: two visible faces of a box, with details."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isnet.data.streets.canvas import Canvas, Colour, Face, boxes_along, shaded
from isnet.data.streets.label_ids import LabelId
from isnet.data.streets.style import Style, jittered

__all__ = [
    "Berth",
    "paint_bus",
    "paint_car",
    "paint_caravan",
    "paint_trailer",
    "paint_train",
    "paint_truck",
]

_GLASS: Colour = (40, 48, 58)
_TYRE: Colour = (28, 28, 30)
_CAR_PAINTS: tuple[Colour, ...] = (
    (176, 178, 182),
    (36, 38, 42),
    (226, 226, 224),
    (150, 36, 36),
    (40, 66, 122),
    (92, 96, 100),
    (60, 92, 70),
)


@dataclass(frozen=True)
class Berth:
    """Where a vehicle stands: the middle of its nearest face, and how it is turned."""

    x: float
    z: float
    oncoming: bool = False
    across: bool = False

    def faces(self, canvas: Canvas, width: float, length: float) -> tuple[Face | None, Face]:
        """Return the end face (`width`; None when across) and the long face (`length`) in view."""
        if self.across:
            return None, Face((self.x - length / 2, 0.0, self.z))
        end = Face((self.x - width / 2, 0.0, self.z))
        towards_axis = -1.0 if self.x > canvas.camera.x else 1.0
        side = Face((self.x + towards_axis * width / 2, 0.0, self.z), (0.0, 0.0, 1.0))
        return end, side


def _paint_contact_shadow(canvas: Canvas, berth: Berth, width: float, length: float) -> None:
    half, reach = (length / 2, width) if berth.across else (width / 2 + 0.15, length)
    left, right = berth.x - half, berth.x + half
    near, far = berth.z - 0.25, berth.z + reach
    corners = [(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)]
    canvas.shadow(np.array(corners, dtype=np.float64), 0.55)


def _paint_wheels(
    canvas: Canvas, face: Face, places: tuple[float, ...], radius: float, label: LabelId
) -> None:
    for s in places:
        canvas.disc(face, (s, radius), radius, _TYRE, label)
        canvas.disc(face, (s, radius), 0.5 * radius, (130, 130, 132), None)


def _paint_lamps(
    canvas: Canvas, style: Style, face: Face, berth: Berth, width: float, t: float, label: LabelId
) -> None:
    colour: Colour = (246, 240, 214) if berth.oncoming else (190, 30, 26)
    glow = 220 if style.night else 40
    for s in (0.06 * width, 0.82 * width):
        canvas.rectangle(face, (s, s + 0.12 * width), (t, t + 0.16), colour, label, glow)


def paint_car(canvas: Canvas, style: Style, rng: np.random.Generator, berth: Berth) -> None:
    """Paint a car: a low body, a glazed cabin, four wheels."""
    width, length, height = 1.8, rng.uniform(3.9, 4.6), rng.uniform(1.4, 1.65)
    paint = jittered(rng, _CAR_PAINTS[int(rng.integers(len(_CAR_PAINTS)))], 0.06)
    _paint_contact_shadow(canvas, berth, width, length)
    end, side = berth.faces(canvas, width, length)
    label, belt = LabelId.CAR, 0.58 * height
    profile = np.array(
        [
            (0.0, 0.2),
            (1.0, 0.2),
            (1.0, 0.5),
            (0.8, 0.58),
            (0.66, 1.0),
            (0.2, 1.0),
            (0.04, 0.6),
            (0, 0.56),
        ]
    )
    glass = np.array([(0.75, 0.6), (0.64, 0.94), (0.24, 0.94), (0.11, 0.6)])
    if berth.oncoming:
        profile[:, 0], glass[:, 0] = 1.0 - profile[:, 0], 1.0 - glass[:, 0]
    size = np.array([length, height])
    canvas.polygon(side, profile * size, shaded(paint, 0.88), label)
    canvas.polygon(side, glass * size, _GLASS, None)
    _paint_wheels(canvas, side, (0.2 * length, 0.8 * length), 0.32, label)
    if end is None:
        return
    canvas.rectangle(end, (0.05, 0.35), (0.0, 0.4), _TYRE, label)
    canvas.rectangle(end, (width - 0.35, width - 0.05), (0.0, 0.4), _TYRE, label)
    canvas.rectangle(end, (0.0, width), (0.25, belt), paint, label)
    cabin = [(0.05, belt), (width - 0.05, belt), (width - 0.28, height), (0.28, height)]
    canvas.polygon(end, cabin, shaded(paint, 1.06), label)
    window = [(0.2, belt), (width - 0.2, belt), (width - 0.38, height - 0.1), (0.38, height - 0.1)]
    canvas.polygon(end, window, _GLASS, None)
    _paint_lamps(canvas, style, end, berth, width, 0.62 * belt, label)
    canvas.rectangle(end, (0.6, 1.2), (0.38, 0.5), (220, 220, 214), None)


def paint_truck(canvas: Canvas, style: Style, rng: np.random.Generator, berth: Berth) -> None:
    """Paint a truck: a closed load box on a dark chassis, a lower cab with one window."""
    width, length, height = 2.5, rng.uniform(7.0, 9.5), rng.uniform(3.1, 3.7)
    paint = jittered(rng, style.truck, 0.04)
    label = LabelId.TRUCK
    _paint_contact_shadow(canvas, berth, width, length)
    end, side = berth.faces(canvas, width, length)
    cab, gap, floor = 1.9, 0.25, 0.95
    box = (cab + gap, length) if berth.oncoming else (0.0, length - cab - gap)
    front = (0.0, cab) if berth.oncoming else (length - cab, length)
    canvas.rectangle(side, (0.0, length), (0.4, floor), (54, 54, 56), label)
    canvas.rectangle(side, front, (0.5, 2.6), shaded(paint, 0.72), label)
    canvas.rectangle(side, (front[0] + 0.5, front[1] - 0.4), (1.6, 2.35), _GLASS, None)
    canvas.rectangle(side, box, (floor, height), shaded(paint, 0.9), label)
    ribs = boxes_along(np.arange(box[0] + 0.5, box[1], 0.7), 0.08, (floor, height))
    canvas.rectangles(side, ribs, shaded(paint, 0.76), None)
    _paint_wheels(canvas, side, (0.14 * length, 0.3 * length, 0.85 * length), 0.5, label)
    if end is None:
        return
    canvas.rectangle(end, (0.1, 0.7), (0.0, 0.9), _TYRE, label)
    canvas.rectangle(end, (width - 0.7, width - 0.1), (0.0, 0.9), _TYRE, label)
    canvas.rectangle(end, (0.0, width), (0.5, height), paint, label)
    if berth.oncoming:
        canvas.rectangle(end, (0.15, width - 0.15), (1.6, 2.4), _GLASS, None)
        canvas.rectangle(end, (0.0, width), (2.6, height), shaded(paint, 0.9), None)
        canvas.rectangle(end, (0.5, width - 0.5), (0.8, 1.3), (60, 60, 62), None)
    else:
        canvas.rectangle(
            end, (width / 2 - 0.04, width / 2 + 0.04), (floor, height), (70, 70, 70), None
        )
        canvas.rectangle(end, (0.0, width), (0.5, floor), (64, 64, 66), None)
        for s in (0.35, width - 0.4):
            canvas.rectangle(end, (s, s + 0.06), (floor, height - 0.1), shaded(paint, 0.7), None)
    _paint_lamps(canvas, style, end, berth, width, 0.7, label)


def paint_bus(canvas: Canvas, style: Style, rng: np.random.Generator, berth: Berth) -> None:
    """Paint a bus: one body down to the ground, windows along its length, doors."""
    width, length, height = 2.5, rng.uniform(8.5, 11.5), rng.uniform(2.9, 3.3)
    paint = jittered(rng, style.bus, 0.04)
    label = LabelId.BUS
    _paint_contact_shadow(canvas, berth, width, length)
    end, side = berth.faces(canvas, width, length)
    canvas.rectangle(side, (0.0, length), (0.3, height), shaded(paint, 0.9), label)
    windows = boxes_along(np.arange(0.4, length - 1.2, 1.5), 1.3, (1.4, 2.45))
    canvas.rectangles(side, windows, _GLASS, None)
    for s in (0.2 * length, 0.65 * length):
        canvas.rectangle(side, (s, s + 1.1), (0.4, 2.5), (74, 82, 92), None)
    _paint_wheels(canvas, side, (0.14 * length, 0.84 * length), 0.48, label)
    if end is None:
        return
    canvas.rectangle(end, (0.0, width), (0.2, height), paint, label)
    low = 1.1 if berth.oncoming else 1.6
    canvas.rectangle(end, (0.12, width - 0.12), (low, 2.4), _GLASS, None)
    sign: Colour = (240, 170, 40)
    canvas.rectangle(end, (0.4, width - 0.4), (height - 0.4, height - 0.1), sign, label, glow=160)
    _paint_lamps(canvas, style, end, berth, width, 0.6, label)


def paint_train(canvas: Canvas, style: Style, rng: np.random.Generator, berth: Berth) -> None:
    """Paint a train along its track: coaches with a window band and a stripe, a nose."""
    width, coach, height = 2.6, rng.uniform(9.0, 12.0), rng.uniform(3.4, 3.9)
    paint = jittered(rng, style.train, 0.04)
    label = LabelId.TRAIN
    coaches = int(rng.integers(2, 4))
    _paint_contact_shadow(canvas, berth, width, coach * coaches)
    for index in reversed(range(coaches)):
        start = Berth(berth.x, berth.z + index * (coach + 0.5))
        _, side = start.faces(canvas, width, coach)
        canvas.rectangle(side, (0.0, coach + 0.5), (0.3, height - 0.4), (48, 48, 50), label)
        canvas.rectangle(side, (0.0, coach), (0.5, height), shaded(paint, 0.9), label)
        canvas.rectangle(side, (0.0, coach), (0.15, 0.55), (44, 44, 46), label)
        canvas.rectangle(side, (0.0, coach), (1.7, 2.75), _GLASS, None)
        canvas.rectangle(side, (0.0, coach), (1.15, 1.4), (228, 228, 222), None)
        canvas.rectangle(side, (0.0, coach), (height - 0.3, height), (120, 122, 124), None)
    end, _ = berth.faces(canvas, width, coach)
    if end is None:
        return
    nose = [(0, 0.3), (width, 0.3), (width, 2.6), (width - 0.4, height), (0.4, height), (0, 2.6)]
    canvas.polygon(end, nose, paint, label)
    canvas.rectangle(end, (0.3, width - 0.3), (1.7, 3.0), _GLASS, None)
    canvas.rectangle(end, (0.0, width), (1.15, 1.4), (228, 228, 222), None)
    canvas.rectangle(end, (0.2, width - 0.2), (0.1, 0.5), (44, 44, 46), label)
    _paint_lamps(canvas, style, end, Berth(0, 0, oncoming=True), width, 0.75, label)
    pole = Face((berth.x, 0.0, berth.z + 2.0))
    canvas.limb(pole, (-0.5, height), (0.3, height + 0.8), 0.1, (60, 60, 62), label)


def paint_caravan(canvas: Canvas, style: Style, rng: np.random.Generator, berth: Berth) -> None:
    """Paint a caravan (void in training): a pale rounded box with one window."""
    width, length, label = 2.2, 4.8, LabelId.CARAVAN
    paint = jittered(rng, (222, 216, 202), 0.05)
    _paint_contact_shadow(canvas, berth, width, length)
    end, side = berth.faces(canvas, width, length)
    canvas.rectangle(side, (0.0, length), (0.45, 2.5), shaded(paint, 0.9), label)
    canvas.rectangle(side, (1.0, 2.4), (1.3, 2.0), _GLASS, None)
    _paint_wheels(canvas, side, (0.5 * length,), 0.35, label)
    if end is not None:
        outline = [(0, 0.45), (width, 0.45), (width, 2.3), (width - 0.3, 2.6), (0.3, 2.6), (0, 2.3)]
        canvas.polygon(end, outline, paint, label)
        canvas.rectangle(end, (0.4, width - 0.4), (1.4, 2.1), _GLASS, None)


def paint_trailer(canvas: Canvas, style: Style, rng: np.random.Generator, berth: Berth) -> None:
    """Paint a low trailer (void in training): an open tub under a tarpaulin."""
    width, length, label = 1.8, 3.2, LabelId.TRAILER
    paint = jittered(rng, shaded(style.truck, 0.8), 0.08)
    _paint_contact_shadow(canvas, berth, width, length)
    end, side = berth.faces(canvas, width, length)
    canvas.rectangle(side, (0.0, length), (0.5, 1.3), shaded(paint, 0.85), label)
    _paint_wheels(canvas, side, (0.5 * length,), 0.32, label)
    if end is not None:
        canvas.rectangle(end, (0.0, width), (0.45, 1.3), paint, label)
        canvas.rectangle(end, (0.0, width), (1.1, 1.45), (96, 104, 92), label)

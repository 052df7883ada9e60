"""Paints street furniture: lamps, traffic lights, traffic signs, bins and trolleys."""

import math

import numpy as np

from isnet.data.streets.canvas import Board, Colour, LabelId, box, disc, limb
from isnet.data.streets.scene import Scene

_LIGHTS: tuple[Colour, ...] = ((40, 214, 110), (250, 186, 44), (246, 44, 36))
# Corners, rotation in degrees, colours of rim and inside.
_PLATES: tuple[tuple[int, float, Colour, Colour], ...] = (
    (14, 0.0, (192, 34, 34), (236, 236, 232)),
    (14, 0.0, (36, 76, 168), (232, 232, 232)),
    (3, 90.0, (196, 36, 34), (238, 236, 226)),
    (4, 45.0, (36, 84, 172), (230, 232, 236)),
    (4, 0.0, (236, 236, 230), (232, 186, 40)),
)


def _paint_pole(scene: Scene, x: float, z: float, height: float) -> Board:
    board, colour = Board(scene.canvas, LabelId.POLE, x, z), scene.colours[LabelId.POLE]
    board.fill(box(-0.16, 0.16, 0.0, height), colour)
    board.fill(box(0.03, 0.16, 0.0, height), colour * 0.72)
    return board


def paint_lamp(scene: Scene, x: float, z: float) -> None:
    """Paint a street lamp whose arm reaches over the road."""
    height = scene.rng.uniform(5.5, 7.5)
    board = _paint_pole(scene, x, z, height)
    reach = -math.copysign(scene.rng.uniform(1.0, 1.8), x)
    arm = limb((0.0, height - 0.1), (reach, height), 0.14)
    board.fill(arm, scene.colours[LabelId.POLE])
    lamp = box(reach - 0.35, reach + 0.35, height - 0.12, height + 0.14)
    board.fill(lamp, (200, 200, 196), LabelId.STATIC)


def _paint_traffic_light(scene: Scene, x: float, z: float) -> None:
    rng, height, label = scene.rng, scene.rng.uniform(3.2, 4.2), LabelId.TRAFFIC_LIGHT
    board, lit = _paint_pole(scene, x, z, height), int(rng.integers(3))
    case = scene.colours[LabelId.POLE if rng.random() < 0.3 else label]
    for base in (height - 0.5, height - 2.3)[: 2 if rng.random() < 0.35 else 1]:
        board.fill(box(-0.4, 0.4, base - 0.1, base + 1.6), case, label)
        for index, colour in enumerate(_LIGHTS):
            light = disc(0.0, base + 0.2 + 0.54 * index, 0.25)
            board.fill(light, np.array(colour) * (1.0 if index == lit else 0.22), label)


def _paint_sign(scene: Scene, x: float, z: float) -> None:
    rng, height, radius = scene.rng, scene.rng.uniform(2.4, 3.2), scene.rng.uniform(0.56, 0.76)
    board = _paint_pole(scene, x, z, height)
    for level in range(2 if rng.random() < 0.35 else 1):
        corners, start, rim, inside = _PLATES[int(rng.integers(len(_PLATES)))]
        plate = disc(0.0, 0.0, radius, corners=corners, start=start)
        centre = np.array([0.0, height - 2.0 * radius * level])
        symbol = box(-0.3 * radius, 0.3 * radius, -0.06, 0.06)
        for outline, colour in ((plate, rim), (0.72 * plate, inside), (symbol, (40, 40, 44))):
            board.fill(outline + centre, colour, LabelId.TRAFFIC_SIGN)


def _paint_bin(scene: Scene, x: float, z: float) -> None:
    height, board = scene.rng.uniform(0.8, 1.3), Board(scene.canvas, LabelId.STATIC, x, z)
    colour = scene.colour(LabelId.FENCE, 0.15) * 0.7
    board.fill(box(-0.4, 0.4, 0.0, height), colour)
    board.fill(box(-0.45, 0.45, height - 0.15, height), colour * 0.7)


def _paint_trolley(scene: Scene, x: float, z: float) -> None:
    board = Board(scene.canvas, LabelId.DYNAMIC, x, z)
    board.fill(box(-0.35, 0.4, 0.3, 0.85), scene.colour(LabelId.PERSON, 0.2))
    for s in (-0.25, 0.25):
        board.fill(disc(s, 0.14, 0.14), (34, 34, 36))


FURNITURE = (
    (_paint_traffic_light, 0.45, 7.0, 13.0),
    (_paint_traffic_light, 0.25, 12.0, 20.0),
    (_paint_sign, 0.55, 6.0, 12.0),
    (_paint_sign, 0.3, 10.0, 20.0),
    (_paint_bin, 0.3, 6.0, 16.0),
    (_paint_trolley, 0.15, 6.0, 12.0),
)
"""Each piece of street furniture: the function that paints it, its probability on each side of the
street, and its nearest and farthest distance in metres.
"""

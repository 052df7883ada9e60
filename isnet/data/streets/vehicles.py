"""Paints vehicles as the two visible faces of a box, with details from a table of shapes."""

from dataclasses import dataclass

import numpy as np

from isnet.data.streets.canvas import Board, Colour, LabelId, Points, box, disc
from isnet.data.streets.scene import Scene

Shapes = tuple[tuple[Points, float | Colour], ...]
"""Polygons in shares of a face's width and height, each with a colour or a tone of the paint."""

_GLASS: Colour = (40, 48, 58)
_DARK: Colour = (40, 40, 42)
_PALE: Colour = (228, 228, 222)


@dataclass(frozen=True)
class Vehicle:
    """A kind of vehicle, with the ranges of its size in metres and its shapes.

    `side` has the shapes on the side of a vehicle that drives to the right. `wheels` are positions
    on the side, as shares of the length. `end` has the shapes that front and rear share, and
    `front` those that only the front has.
    """

    label: LabelId
    width: float
    length: tuple[float, float]
    height: tuple[float, float]
    wheels: tuple[float, ...]
    side: Shapes
    end: Shapes
    front: Shapes = ()


def _tyres(top: float) -> Points:
    return box([0.03, 0.75], [0.25, 0.97], 0.0, top)


CAR = Vehicle(
    LabelId.CAR,
    width=1.8,
    length=(3.9, 4.6),
    height=(1.4, 1.65),
    wheels=(0.2, 0.8),
    side=(
        (box(0.0, 1.0, 0.16, 0.55), 0.9),
        (np.array([(0.04, 0.55), (0.84, 0.55), (0.66, 1.0), (0.2, 1.0)]), 0.9),
        (np.array([(0.11, 0.6), (0.75, 0.6), (0.64, 0.94), (0.24, 0.94)]), _GLASS),
    ),
    end=(
        (_tyres(0.3), _DARK),
        (box(0.0, 1.0, 0.16, 0.58), 1.0),
        (np.array([(0.03, 0.58), (0.97, 0.58), (0.84, 1.0), (0.16, 1.0)]), 1.06),
        (np.array([(0.11, 0.58), (0.89, 0.58), (0.79, 0.93), (0.21, 0.93)]), _GLASS),
        (box(0.33, 0.67, 0.25, 0.33), _PALE),
    ),
)
_RIBS = np.arange(0.03, 0.73, 0.08)
_TRUCK = Vehicle(
    LabelId.TRUCK,
    width=2.5,
    length=(7.0, 9.5),
    height=(3.1, 3.7),
    wheels=(0.14, 0.3, 0.85),
    side=(
        (box(0.0, 1.0, 0.12, 0.28), _DARK),
        (box(0.77, 1.0, 0.15, 0.77), 0.72),
        (box(0.83, 0.95, 0.47, 0.69), _GLASS),
        (box(0.0, 0.74, 0.28, 1.0), 0.9),
        (box(_RIBS, _RIBS + 0.01, 0.28, 1.0), 0.76),
    ),
    end=(
        (_tyres(0.27), _DARK),
        (box(0.0, 1.0, 0.15, 1.0), 1.0),
        (box([0.14, 0.49, 0.84], [0.16, 0.51, 0.86], 0.28, 0.97), 0.7),
    ),
    front=((box(0.06, 0.94, 0.47, 0.7), _GLASS), (box(0.2, 0.8, 0.23, 0.38), _DARK)),
)
_WINDOWS = 0.04 + 0.16 * np.arange(6)
_BUS = Vehicle(
    LabelId.BUS,
    width=2.5,
    length=(8.5, 11.5),
    height=(2.9, 3.3),
    wheels=(0.14, 0.84),
    side=(
        (box(0.0, 1.0, 0.1, 1.0), 0.9),
        (box(_WINDOWS, _WINDOWS + 0.13, 0.45, 0.79), _GLASS),
        (box([0.2, 0.65], [0.31, 0.76], 0.13, 0.81), (74, 82, 92)),
    ),
    end=(
        (box(0.0, 1.0, 0.06, 1.0), 1.0),
        (box(0.05, 0.95, 0.45, 0.77), _GLASS),
        (box(0.16, 0.84, 0.87, 0.97), (240, 170, 40)),
    ),
)
TRAIN = Vehicle(
    LabelId.TRAIN,
    width=2.6,
    length=(19.0, 36.0),
    height=(3.4, 3.9),
    wheels=(),
    side=(
        (box(0.0, 1.0, 0.04, 1.0), 0.9),
        (box(0.0, 1.0, 0.04, 0.15), _DARK),
        (box(0.0, 1.0, 0.47, 0.75), _GLASS),
        (box(0.0, 1.0, 0.32, 0.38), _PALE),
        (box([0.33, 0.66], [0.345, 0.675], 0.04, 1.0), _DARK),
    ),
    end=(
        (np.array([(0, 0.03), (1, 0.03), (1, 0.72), (0.85, 1), (0.15, 1), (0, 0.72)]), 1.0),
        (box(0.12, 0.88, 0.47, 0.82), _GLASS),
        (box(0.0, 1.0, 0.32, 0.39), _PALE),
    ),
)
LARGE_VEHICLES = ((_BUS, 0.6), (_BUS, 0.15), (_TRUCK, 0.62), (_TRUCK, 0.15))
"""Kinds of large vehicles, each with the probability that it occurs in a street."""


def paint_vehicle(
    scene: Scene, kind: Vehicle, x: float, z: float, oncoming: bool = False, across: bool = False
) -> None:
    """Paint a vehicle and its shadow.

    The painted faces are the one towards the camera and the one towards the street's axis. Of a
    vehicle `across` the road, only the side is painted. (x, z) is the middle of the nearest face.
    """
    rng, width = scene.rng, kind.width
    length, height = rng.uniform(*kind.length), rng.uniform(*kind.height)
    paint = scene.colour(kind.label)
    half, reach = (length / 2, width) if across else (width / 2 + 0.15, length)
    scene.canvas.shade_ground(x - half, x + half, z - 0.25, z + reach, 0.55)
    towards_axis = -width / 2 if x > scene.canvas.camera.x else width / 2
    start, along = np.array([x + towards_axis, z]), np.array([0.0, 1.0])
    if across:
        start, along = np.array([x - length / 2, z]), np.array([1.0, 0.0])
    if oncoming:  # its front is at the near end
        start, along = start + length * along, -along
    heading = (float(along[0]), float(along[1]))
    side = Board(scene.canvas, kind.label, start[0], start[1], heading, (length, height))
    _fill(side, kind.side, paint)
    radius = 0.13 + 0.12 * width / height  # share of the height
    for s in kind.wheels:
        side.fill(disc(s, radius, radius, height / length), _DARK)
        side.fill(disc(s, radius, 0.5 * radius, height / length), (130, 130, 132))
    if not across:
        end = Board(scene.canvas, kind.label, x - width / 2, z, size=(width, height))
        _fill(end, kind.end + (kind.front if oncoming else ()), paint)
        lamps = box([0.06, 0.82], [0.18, 0.94], 0.55 / height, 0.71 / height)
        end.fill(lamps, (246, 240, 214) if oncoming else (190, 30, 26))


def _fill(board: Board, shapes: Shapes, paint: Colour) -> None:
    for outlines, tone in shapes:
        board.fill(outlines, np.asarray(paint) * tone if isinstance(tone, float) else tone)

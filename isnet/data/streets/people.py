"""Paints pedestrians, two-wheelers and their riders as flat figures that face the camera."""

from itertools import pairwise

import numpy as np

from isnet.data.streets.canvas import Board, Colour, LabelId, box, disc, limb
from isnet.data.streets.scene import Scene

_SKINS = ((226, 184, 152), (180, 128, 96), (112, 76, 56))
_TYRE: Colour = (30, 30, 32)
# One line through hubs, crank, seat and handlebar that covers every tube of the frame.
_BICYCLE_TUBES = (
    (-0.62, 0.36), (-0.05, 0.34), (-0.2, 0.92), (-0.62, 0.36), (-0.05, 0.34), (0.44, 0.98),
    (-0.2, 0.92), (0.44, 0.98), (0.62, 0.36),
)  # fmt: skip
_MOTOR_BODY = np.array([
    (-0.7, 0.5), (-0.5, 0.3), (0.35, 0.26), (0.55, 0.55),
    (0.62, 1.0), (0.36, 1.02), (0.05, 0.8), (-0.75, 0.86),
])  # fmt: skip


def paint_person(scene: Scene, x: float, z: float) -> None:
    """Paint a standing or walking person, 1.5 to 1.95 m tall."""
    rng = scene.rng
    tall, half = rng.uniform(1.5, 1.95), rng.uniform(0.21, 0.28)
    stride, swing = rng.uniform(0.05, 0.32), rng.uniform(-0.25, 0.25)
    coat, trousers = scene.colour(LabelId.PERSON, 0.1), scene.colour((54, 56, 66), 0.2)
    scene.canvas.shade_ground(x - 0.3, x + 0.3, z - 0.15, z + 0.5, 0.4)
    board = Board(scene.canvas, LabelId.PERSON, x, z)
    hip, neck = 0.48 * tall, 0.83 * tall
    for side in (-1, 1):
        board.fill(limb((side * 0.08, hip), (side * stride, 0.0), 0.19), trousers)
        hand = (side * (half + 0.05 - swing), hip)
        board.fill(limb((side * half, neck - 0.08), hand, 0.14), coat)
    board.fill(box(-0.9 * half, 0.9 * half, hip - 0.08, neck), coat)
    board.fill(disc(0.0, 0.915 * tall, 0.085 * tall), rng.choice(_SKINS))
    board.fill(box(-0.11, 0.11, 0.94 * tall, tall), scene.colour((58, 42, 32), 0.2))


def _paint_rider(scene: Scene, board: Board, seat: float) -> None:
    coat, trousers = scene.colour(LabelId.RIDER), scene.colour((50, 52, 60), 0.2)
    for outline, colour in (
        (limb((-0.18, 0.0), (0.2, -0.28), 0.19), trousers),
        (limb((0.2, -0.28), (0.02, -0.68), 0.16), trousers),
        (limb((-0.18, -0.1), (0.1, 0.56), 0.42), coat),
        (limb((0.1, 0.56), (0.46, 0.18), 0.14), coat * 0.88),
        (disc(0.2, 0.76, 0.15), scene.rng.choice(_SKINS)),
        (box(0.06, 0.34, 0.78, 0.94), scene.colour(LabelId.RIDER, 0.15)),
    ):
        board.fill(outline + np.array([0.0, seat]), colour, LabelId.RIDER)


def paint_cycle(scene: Scene, x: float, z: float, motor: bool, ridden: bool) -> None:
    """Paint a bicycle or motorcycle that heads to the left or right.

    `motor` selects a motorcycle, and `ridden` adds a rider. The label of a bicycle includes the
    gaps between the spokes, as in Cityscapes.
    """
    scene.canvas.shade_ground(x - 0.8, x + 0.8, z - 0.15, z + 0.5, 0.4)
    turn = float(scene.rng.uniform(0.6, 1.0) * scene.rng.choice((-1.0, 1.0)))
    label = LabelId.MOTORCYCLE if motor else LabelId.BICYCLE
    board = Board(scene.canvas, label, x, z, size=(turn, 1.0))
    for s in (-0.62, 0.62):
        board.fill(disc(s, 0.36, 0.37), _TYRE)
        board.fill(disc(s, 0.36, 0.15 if motor else 0.29), (140, 140, 138))
    if motor:
        board.fill(_MOTOR_BODY, scene.colour((60, 70, 130), 0.4))
        board.fill(box(-0.28, 0.28, 0.24, 0.58), (72, 72, 74))
        board.fill(limb((-0.75, 0.84), (0.0, 0.84), 0.16), (34, 32, 32))
        board.fill(disc(0.62, 0.96, 0.12), (240, 236, 210))
    else:
        frame = scene.colour((150, 60, 50), 0.4)
        for start, end in pairwise(_BICYCLE_TUBES):
            board.fill(limb(start, end, 0.09), frame)
        board.fill(box([-0.32, 0.34], [-0.08, 0.5], [0.9, 0.98], [0.99, 1.06]), _TYRE)
    if ridden:
        _paint_rider(scene, board, 0.92 if motor else 0.98)

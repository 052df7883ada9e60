"""Paints the background of a street: sky, ground, houses, walls, fences and trees."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from isnet.data.streets.canvas import Board, Colour, LabelId, box, disc
from isnet.data.streets.scene import Scene

_NEAR, _FAR = 1.0, 160.0  # metres
_LOTS = (LabelId.BUILDING, LabelId.WALL, LabelId.FENCE)


class Strip(NamedTuple):
    """A strip of ground along the street, given by two distances in metres from the axis."""

    label: LabelId
    inner: float
    outer: float

    @property
    def middle(self) -> float:
        """Distance in metres of the strip's middle line from the street's axis."""
        return (self.inner + self.outer) / 2


class CrossSection(NamedTuple):
    """The strips of ground on one side of the street, from its axis outwards.

    `side` is -1 for the left side and 1 for the right. The first strip is the road, the last one
    lies behind the houses and walls.
    """

    side: int
    strips: tuple[Strip, ...]

    def find(self, label: LabelId) -> Strip | None:
        """Return the innermost strip with this label, or None."""
        return next((strip for strip in self.strips if strip.label == label), None)


def draw_cross_section(rng: np.random.Generator, side: int, rails: bool) -> CrossSection:
    """Sample the strips of one side of the street.

    With `rails`, a rail track lies between road and pavement.
    """
    beyond = LabelId.TERRAIN if rng.random() < 0.75 else LabelId.GROUND
    widths = (
        (LabelId.ROAD, rng.uniform(3.2, 4.6)),
        (LabelId.RAIL_TRACK, 3.4 if rails else 0.0),
        (LabelId.PARKING, 2.4 if not rails and rng.random() < 0.35 else 0.0),
        (LabelId.TERRAIN, rng.uniform(1.2, 2.6) if rng.random() < 0.5 else 0.0),
        (LabelId.SIDEWALK, rng.uniform(2.6, 4.4)),
        (LabelId.TERRAIN, rng.uniform(1.2, 3.5) if rng.random() < 0.4 else 0.0),
        (beyond, 400.0),
    )
    strips, inner = [], 0.0
    for label, width in widths:
        if width:
            strips.append(Strip(label, inner, inner + width))
            inner += width
    return CrossSection(side, tuple(strips))


def paint_surroundings(scene: Scene, left: CrossSection, right: CrossSection) -> None:
    """Paint the background of the scene, from far to near."""
    canvas = scene.canvas
    rows = np.linspace(0.0, 1.0, canvas.scale)[:, None, None]
    share = np.clip(rows / canvas.camera.horizon, 0.0, 1.0) ** 1.5
    canvas.colour[:] = scene.colours[LabelId.SKY] * (1.0 - share) + scene.haze * share
    _paint_ground(scene, left, right)
    _paint_skyline(scene)
    for section in (left, right):
        _paint_frontage(scene, section)


def _paint_ground(scene: Scene, left: CrossSection, right: CrossSection) -> None:
    canvas, colours, rng = scene.canvas, scene.colours, scene.rng
    fill, marking = canvas.fill_ground, colours["marking"]
    for section in (left, right):
        side = section.side
        for strip in section.strips:
            label, inner, outer = strip.label, side * strip.inner, side * strip.outer
            colour = colours[label]
            fill(box(inner, outer, _NEAR, _FAR), colour, label)
            if label == LabelId.RAIL_TRACK:
                rails = (inner + outer) / 2 + np.array([-0.75, 0.75])
                fill(box(rails - 0.1, rails + 0.1, _NEAR, 90.0), (176, 172, 168), label)
            elif label == LabelId.SIDEWALK:
                joints = np.arange(3.0, 26.0)
                fill(box(inner, outer, joints, joints + 0.06), colour * 0.82, label)
        line = side * (section.strips[0].outer - 0.35)
        fill(box(line - 0.07, line + 0.07, _NEAR, 80.0), marking, LabelId.ROAD)
    dashes = np.arange(rng.uniform(2.0, 6.0), 70.0, 6.0)
    fill(box(-0.09, 0.09, dashes, dashes + 3.0), marking, LabelId.ROAD)
    if rng.random() < 0.4:  # a zebra crossing
        z = rng.uniform(6.0, 18.0)
        bars = np.arange(0.3 - left.strips[0].outer, right.strips[0].outer - 0.6)
        fill(box(bars, bars + 0.5, z, z + 3.0), marking, LabelId.ROAD)


def _paint_skyline(scene: Scene) -> None:
    camera, rng, z = scene.canvas.camera, scene.rng, 95.0
    reach = z * scene.canvas.aspect / camera.focal
    for x in np.arange(camera.x - reach, camera.x + reach, 13.0):
        if rng.random() < 0.5:
            house = box(0.0, rng.uniform(8.0, 22.0), 0.0, rng.uniform(6.0, 17.0))
            Board(scene.canvas, LabelId.BUILDING, x, z).fill(
                house, scene.colour(LabelId.BUILDING) * 0.85
            )
        else:
            size = (rng.uniform(6.0, 15.0), rng.uniform(5.0, 10.0))
            _paint_leaves(scene, x, z, 2.5, size, scene.colour(LabelId.VEGETATION) * 0.85)


def _paint_frontage(scene: Scene, section: CrossSection) -> None:
    """Paint the lots on one side of the street: houses, and walls or fences before a tree."""
    canvas, rng, side = scene.canvas, scene.rng, section.side
    x = side * section.strips[-1].inner
    bounds = [_NEAR, rng.uniform(10.0, 16.0)]
    while bounds[-1] < 70.0:
        bounds.append(bounds[-1] + rng.uniform(6.0, 12.0) * (1.0 + bounds[-1] / 60.0))
    for near, far in reversed(list(pairwise(bounds))):
        label = _LOTS[rng.choice(len(_LOTS), p=[0.32, 0.33, 0.35])]
        front = Board(canvas, label, x, near, (0.0, 1.0))
        if label == LabelId.BUILDING:
            gable, height = Board(canvas, label, x, near, (side, 0.0)), rng.uniform(6.0, 13.0)
            _paint_facade(scene, gable, rng.uniform(7.0, 11.0), height)
            _paint_facade(scene, front, far - near, height)
        else:
            behind = x + side * rng.uniform(3.0, 9.0)
            paint_tree(scene, behind, (near + far) / 2, rng.uniform(3.0, 9.0))
            _paint_barrier(scene, front, far - near)


def _paint_facade(scene: Scene, board: Board, length: float, height: float) -> None:
    colour = scene.colour(board.label)
    board.fill(box(0.0, length, 0.0, height), colour)
    board.fill(box(0.0, length, [0.0, height - 0.5], [0.6, height]), colour * 0.75)
    floors = np.arange(1.1, height - 2.0, 2.9)[:, None]
    bays = np.arange(0.6, length - 1.4, scene.rng.uniform(1.9, 2.6))
    bright = scene.rng.random() < 0.35
    glass = scene.haze * 0.85 if bright else (52, 60, 72)
    board.fill(box(bays, bays + 1.15, floors, floors + 1.5), glass)


def _paint_barrier(scene: Scene, board: Board, length: float) -> None:
    """Paint a wall with courses, or a fence of boards. The fence's label includes the gaps."""
    height, colour = scene.rng.uniform(1.8, 3.6), scene.colour(board.label)
    if board.label == LabelId.WALL:
        courses = np.arange(0.4, height - 0.2, 0.5)
        board.fill(box(0.0, length, 0.0, height), colour)
        board.fill(box(0.0, length, courses, courses + 0.06), colour * 0.86)
    else:
        boards = np.arange(0.05, length - 0.33, 0.55)
        board.fill(box(0.0, length, 0.0, height), colour * 0.42)
        board.fill(box(boards, boards + 0.33, 0.0, height), colour)
    board.fill(box(0.0, length, height - 0.3, height - 0.15), colour * 1.2)


def _paint_leaves(
    scene: Scene, x: float, z: float, t: float, size: tuple[float, float], colour: Colour
) -> None:
    """Paint a ragged clump of leaves of radii `size` in metres around the height `t`."""
    rough = 1.0 + 0.16 * scene.rng.standard_normal((16, 1))
    outline = disc(0.0, 0.0, 1.0, corners=16) * rough * size + np.array([0.0, t])
    Board(scene.canvas, LabelId.VEGETATION, x, z).fill(outline, colour)


def paint_tree(scene: Scene, x: float, z: float, height: float) -> None:
    """Paint a tree: a trunk, and clumps of leaves that are lighter towards the top."""
    rng, trunk = scene.rng, box(-0.035, 0.035, 0.0, 0.6) * height
    Board(scene.canvas, LabelId.VEGETATION, x, z).fill(trunk, (84, 70, 58))
    leaves = scene.colour(LabelId.VEGETATION)
    for level in (0.55, 0.62, 0.7, 0.8):
        s = 0.2 * height * rng.standard_normal() * (1.0 - level)
        radius = height * rng.uniform(0.17, 0.25)
        tone = 0.72 + 1.5 * (level - 0.5) * rng.uniform(0.5, 1.0)
        _paint_leaves(scene, x + s, z, level * height, (radius, 0.85 * radius), leaves * tone)

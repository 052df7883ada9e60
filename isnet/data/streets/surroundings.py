"""Surroundings of the objects: sky, ground, houses, walls, fences, hedges and trees."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from isnet.data.streets.canvas import Board, Colour, box, disc
from isnet.data.streets.label_ids import LabelId
from isnet.data.streets.scene import GROUND_ROLES, Scene

__all__ = ["CrossSection", "Strip", "draw_cross_section", "paint_surroundings", "paint_tree"]

_NEAR, _FAR = 1.0, 160.0  # metres


@dataclass(frozen=True)
class Strip:
    """A lengthwise strip of ground between two distances from the street's axis, in metres."""

    label: LabelId
    inner: float
    outer: float

    @property
    def middle(self) -> float:
        """Distance of the strip's middle line from the axis."""
        return (self.inner + self.outer) / 2


@dataclass(frozen=True)
class CrossSection:
    """The strips of one side of the street from the axis outwards; `side` is -1 left, 1 right.

    The last strip lies behind the houses and walls.
    """

    side: int
    strips: tuple[Strip, ...]

    def find(self, label: LabelId) -> Strip | None:
        """Return the innermost strip of that label."""
        return next((strip for strip in self.strips if strip.label == label), None)


def draw_cross_section(rng: np.random.Generator, side: int, rails: bool) -> CrossSection:
    """Draw the strips of one side; rails lie between road and pavement."""
    widths: list[tuple[LabelId, float]] = [(LabelId.ROAD, rng.uniform(3.2, 4.6))]
    if rails:
        widths.append((LabelId.RAIL_TRACK, 3.4))
    elif rng.random() < 0.35:
        widths.append((LabelId.PARKING, 2.4))
    if rng.random() < 0.5:
        widths.append((LabelId.TERRAIN, rng.uniform(1.2, 2.6)))
    widths.append((LabelId.SIDEWALK, rng.uniform(2.6, 4.4)))
    if rng.random() < 0.4:
        widths.append((LabelId.TERRAIN, rng.uniform(1.2, 3.5)))
    widths.append((LabelId.TERRAIN if rng.random() < 0.75 else LabelId.GROUND, 400.0))
    edges = np.cumsum([0.0, *(width for _, width in widths)]).tolist()
    spans = zip(widths, pairwise(edges), strict=True)
    return CrossSection(side, tuple(Strip(label, *span) for (label, _), span in spans))


def paint_surroundings(scene: Scene, left: CrossSection, right: CrossSection) -> None:
    """Paint all that lies behind the objects, from far to near."""
    _paint_sky(scene)
    _paint_ground(scene, left, right)
    _paint_skyline(scene)
    for section in (left, right):
        _paint_frontage(scene, section)


def _paint_sky(scene: Scene) -> None:
    """Paint a gradient from the zenith to the haze at the horizon."""
    canvas = scene.canvas
    rows = np.linspace(0.0, 1.0, canvas.scale)[:, None, None]
    share = np.clip(rows / canvas.camera.horizon, 0.0, 1.0) ** 1.5
    canvas.colour[:] = scene.colours["sky"] * (1.0 - share) + scene.haze * share


def _paint_ground(scene: Scene, left: CrossSection, right: CrossSection) -> None:
    """Paint the strips, rails, joints of the pavement and lane markings."""
    canvas, colours, rng = scene.canvas, scene.colours, scene.rng
    fill, marking = canvas.fill_ground, colours["marking"]
    for section in (left, right):
        side = section.side
        for label, inner, outer in (
            (s.label, side * s.inner, side * s.outer) for s in section.strips
        ):
            colour = colours[GROUND_ROLES[label]]
            fill(box(inner, outer, _NEAR, _FAR), colour, label)
            if label == LabelId.RAIL_TRACK:
                middle, sleepers = (inner + outer) / 2, np.arange(4.0, 30.0, 1.1)
                fill(
                    box(middle - 1.2, middle + 1.2, sleepers, sleepers + 0.35), colour * 0.72, label
                )
                rails = middle + np.array([-0.75, 0.75])
                fill(box(rails - 0.09, rails + 0.09, _NEAR, 90.0), (176, 172, 168), label)
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
    """Close the view with far houses and trees."""
    camera, rng, z = scene.canvas.camera, scene.rng, 95.0
    reach = z * scene.canvas.aspect / camera.focal
    for x in np.arange(camera.x - reach, camera.x + reach, 13.0):
        if rng.random() < 0.5:
            house = box(0.0, rng.uniform(8.0, 22.0), 0.0, rng.uniform(6.0, 17.0))
            Board(scene.canvas, LabelId.BUILDING, x, z).fill(house, scene.colour("building") * 0.85)
        else:
            size = (rng.uniform(6.0, 15.0), rng.uniform(5.0, 10.0))
            _paint_leaves(scene, x, z, 2.5, size, scene.colour("vegetation") * 0.85)


def _paint_frontage(scene: Scene, section: CrossSection) -> None:
    """Paint one side from far to near; every lot has a house, a wall, a fence or a hedge."""
    rng, side = scene.rng, section.side
    x = side * section.strips[-1].inner
    bounds = [_NEAR, rng.uniform(10.0, 16.0)]
    while bounds[-1] < 70.0:
        bounds.append(bounds[-1] + rng.uniform(6.0, 12.0) * (1.0 + bounds[-1] / 60.0))
    # The sun at the left lights the fronts on the right.
    tone = 1.0 - 0.2 * side * scene.sun
    for near, far in reversed(list(pairwise(bounds))):
        kind, length = rng.choice(4, p=[0.3, 0.29, 0.3, 0.11]), far - near
        if kind == 0:
            gable = Board(scene.canvas, LabelId.BUILDING, x, near, (float(side), 0.0))
            height = rng.uniform(6.0, 13.0)
            _paint_facade(scene, gable, rng.uniform(7.0, 11.0), height, 0.9)
            front = Board(scene.canvas, LabelId.BUILDING, x, near, (0.0, 1.0))
            _paint_facade(scene, front, length, height, tone)
            continue
        if rng.random() < 0.55:
            behind = x + side * rng.uniform(3.0, 9.0)
            paint_tree(scene, behind, near + length / 2, rng.uniform(5.0, 9.0))
        if kind < 3:
            label = LabelId.WALL if kind == 1 else LabelId.FENCE
            _paint_barrier(scene, label, x, near, length, tone)
        else:
            height = rng.uniform(1.2, 2.4)
            for z in np.arange(far, near, -1.1):
                leaves = scene.colour("vegetation") * tone * rng.uniform(0.75, 1.1)
                _paint_leaves(scene, x, z, 0.45 * height, (0.9, 0.55 * height), leaves)


def _paint_facade(scene: Scene, board: Board, length: float, height: float, tone: float) -> None:
    """Paint a facade with a plinth, a cornice and rows of windows."""
    colour = scene.colour("building") * tone
    board.fill(box(0.0, length, 0.0, height), colour)
    board.fill(box(0.0, length, [0.0, height - 0.5], [0.6, height]), colour * 0.75)
    floors = np.arange(1.1, height - 2.0, 2.9)[:, None]
    bays = np.arange(0.6, length - 1.4, scene.rng.uniform(1.9, 2.6))
    bright = scene.rng.random() < 0.35
    glass = scene.haze * 0.85 if bright else (52, 60, 72)
    board.fill(box(bays, bays + 1.15, floors, floors + 1.5), glass)


def _paint_barrier(
    scene: Scene, label: LabelId, x: float, z: float, length: float, tone: float
) -> None:
    """Paint a wall with courses, or a fence of boards whose label covers the gaps too."""
    board, height = Board(scene.canvas, label, x, z, (0.0, 1.0)), scene.rng.uniform(1.8, 3.6)
    if label == LabelId.WALL:
        colour, courses = scene.colour("wall") * tone, np.arange(0.4, height - 0.2, 0.5)
        board.fill(box(0.0, length, 0.0, height), colour)
        board.fill(box(0.0, length, courses, courses + 0.06), colour * 0.86)
    else:
        colour, boards = scene.colour("fence") * tone, np.arange(0.05, length - 0.33, 0.55)
        board.fill(box(0.0, length, 0.0, height), colour * 0.42)
        board.fill(box(boards, boards + 0.33, 0.0, height), colour)
    board.fill(box(0.0, length, height - 0.3, height - 0.15), colour * 1.2)


def _paint_leaves(
    scene: Scene, x: float, z: float, t: float, size: tuple[float, float], colour: Colour
) -> None:
    """Paint a ragged clump of leaves around height t, `size` metres in radius along and up."""
    rough = 1.0 + 0.16 * scene.rng.standard_normal((16, 1))
    outline = disc(0.0, t / size[1], 1.0, corners=16) * size
    middle = np.array([0.0, t])
    Board(scene.canvas, LabelId.VEGETATION, x, z).fill(middle + (outline - middle) * rough, colour)


def paint_tree(scene: Scene, x: float, z: float, height: float) -> None:
    """Paint a trunk and clumps of leaves, lighter towards the top."""
    rng, trunk = scene.rng, box(-0.035, 0.035, 0.0, 0.6) * height
    Board(scene.canvas, LabelId.VEGETATION, x, z).fill(trunk, (84, 70, 58))
    leaves = scene.colour("vegetation")
    for level in (0.55, 0.62, 0.7, 0.8):
        s = 0.2 * height * rng.standard_normal() * (1.0 - level)
        radius = height * rng.uniform(0.17, 0.25)
        tone = 0.72 + 1.5 * (level - 0.5) * rng.uniform(0.5, 1.0)
        _paint_leaves(scene, x + s, z, level * height, (radius, 0.85 * radius), leaves * tone)

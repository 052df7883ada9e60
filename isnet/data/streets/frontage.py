"""What stands along the street: houses, walls, fences, hedges, trees, and the skyline behind."""

from __future__ import annotations

import math

import numpy as np

from isnet.data.streets.canvas import Canvas, Colour, Face, boxes_along, boxes_up, shaded
from isnet.data.streets.ground import CrossSection
from isnet.data.streets.label_ids import LabelId
from isnet.data.streets.style import Style, jittered

__all__ = ["paint_blob", "paint_bridge", "paint_frontage", "paint_skyline", "paint_tree"]


def paint_blob(
    canvas: Canvas,
    rng: np.random.Generator,
    face: Face,
    centre: tuple[float, float],
    radii: tuple[float, float],
    colour: Colour,
) -> None:
    """Paint one ragged clump of leaves, `radii` metres along and up."""
    angles = np.linspace(0.0, 2.0 * math.pi, 16, endpoint=False)
    rough = 1.0 + 0.16 * rng.standard_normal(16)
    points = np.stack(
        [np.cos(angles) * rough * radii[0], np.sin(angles) * rough * radii[1]], axis=1
    )
    canvas.polygon(face, points + np.array(centre), colour, LabelId.VEGETATION)


def paint_tree(
    canvas: Canvas, style: Style, rng: np.random.Generator, x: float, z: float, height: float
) -> None:
    """Paint a tree: a trunk and clumps of leaves, lighter towards the top."""
    face = Face((x, 0.0, z))
    trunk = 0.035 * height
    bark: Colour = (84, 70, 58)
    canvas.rectangle(face, (-trunk, trunk), (0.0, 0.6 * height), bark, LabelId.VEGETATION)
    leaves = jittered(rng, style.vegetation, 0.07)
    for level in (0.55, 0.62, 0.7, 0.8):
        s = 0.2 * height * rng.standard_normal() * (1.0 - level)
        radius = height * rng.uniform(0.17, 0.25)
        tone = shaded(leaves, 0.72 + 0.45 * (level - 0.5) / 0.3 * rng.uniform(0.5, 1.0))
        paint_blob(canvas, rng, face, (s, level * height), (radius, 0.85 * radius), tone)


def paint_skyline(
    canvas: Canvas, style: Style, rng: np.random.Generator, sections: tuple[CrossSection, ...]
) -> None:
    """Close the view: far houses and trees, sometimes a front across the end of the street."""
    reach = 95.0 * canvas.aspect / canvas.camera.focal
    x = canvas.camera.x - reach
    while x < canvas.camera.x + reach:
        width = rng.uniform(8.0, 22.0)
        face = Face((x, 0.0, 95.0))
        if rng.random() < 0.5:
            colour = shaded(jittered(rng, style.building, 0.08), 0.85)
            canvas.rectangle(
                face, (0.0, width), (0.0, rng.uniform(6, 17)), colour, LabelId.BUILDING
            )
        else:
            colour = shaded(jittered(rng, style.vegetation, 0.06), 0.85)
            paint_blob(
                canvas, rng, face, (width / 2, 2.5), (0.7 * width, rng.uniform(5, 10)), colour
            )
        x += width * 0.9
    if rng.random() < 0.3:
        z = rng.uniform(45.0, 70.0)
        left = -sections[0].edge - 8.0
        right = sections[1].edge + 8.0
        _paint_house_side(
            canvas, style, rng, Face((left, 0.0, z)), right - left, rng.uniform(9, 16), 0.95
        )


def paint_frontage(
    canvas: Canvas, style: Style, rng: np.random.Generator, section: CrossSection
) -> None:
    """Paint one side from far to near; every lot is a house, a wall, a fence or a hedge."""
    bounds = [4.0]
    while bounds[-1] < 70.0:
        bounds.append(bounds[-1] + rng.uniform(6.0, 12.0) * (1.0 + bounds[-1] / 60.0))
    kinds = rng.choice(
        ["house", "wall", "fence", "hedge"], size=len(bounds) - 1, p=[0.3, 0.29, 0.3, 0.11]
    )
    for index in reversed(range(len(kinds))):
        near = bounds[index] if index else 1.0
        _paint_lot(canvas, style, rng, section, str(kinds[index]), (near, bounds[index + 1]))


def _paint_lot(
    canvas: Canvas,
    style: Style,
    rng: np.random.Generator,
    section: CrossSection,
    kind: str,
    z: tuple[float, float],
) -> None:
    side, edge = section.side, section.edge
    x = side * edge
    # The side that faces the sun is brighter; the sun at the left lights the fronts on the right.
    tone = 1.0 - 0.22 * side * -style.sun * style.hard_light
    length = z[1] - z[0]
    face = Face((x, 0.0, z[0]), (0.0, 0.0, 1.0))
    if kind == "house":
        height = rng.uniform(6.0, 13.0)
        gable = Face((x, 0.0, z[0]), (float(side), 0.0, 0.0))
        _paint_house_side(canvas, style, rng, gable, rng.uniform(7.0, 11.0), height, 0.9, 0.3)
        _paint_house_side(canvas, style, rng, face, length, height, tone)
        return
    behind = x + side * rng.uniform(3.0, 9.0)
    if rng.random() < 0.55:
        paint_tree(canvas, style, rng, behind, (z[0] + z[1]) / 2, rng.uniform(5.0, 9.0))
    if kind == "wall":
        _paint_wall(canvas, style, rng, face, length, tone)
    elif kind == "fence":
        _paint_fence(canvas, style, rng, face, length, tone)
    else:
        height = rng.uniform(1.2, 2.4)
        for s in np.arange(length, 0.0, -1.1):
            leaves = shaded(jittered(rng, style.vegetation, 0.07), tone * rng.uniform(0.75, 1.1))
            spot = Face((x + side * 0.6, 0.0, z[0] + s))
            paint_blob(canvas, rng, spot, (0.0, 0.45 * height), (0.9, 0.55 * height), leaves)


def _paint_house_side(
    canvas: Canvas,
    style: Style,
    rng: np.random.Generator,
    face: Face,
    length: float,
    height: float,
    tone: float,
    window_share: float = 1.0,
) -> None:
    """Paint a facade with a plinth and rows of windows; a share of the facades stays blank."""
    facade = shaded(jittered(rng, style.building, 0.05), tone)
    canvas.rectangle(face, (0.0, length), (0.0, height), facade, LabelId.BUILDING)
    canvas.rectangle(face, (0.0, length), (height - 0.5, height), shaded(facade, 0.7), None)
    canvas.rectangle(face, (0.0, length), (0.0, 0.6), shaded(facade, 0.8), None)
    if rng.random() > window_share:
        return
    glass = shaded(style.haze, 0.85) if rng.random() < 0.35 else (52.0, 60.0, 72.0)
    pitch = rng.uniform(1.9, 2.6)
    floors, bays = np.arange(1.1, height - 2.0, 2.9), np.arange(0.6, length - 1.4, pitch)
    rows = [boxes_along(bays, 1.15, (floor, floor + 1.5)) for floor in floors]
    windows = np.concatenate(rows)
    lit = rng.random(len(windows)) < (0.45 if style.night else 0.0)
    canvas.rectangles(face, windows[~lit], glass, LabelId.BUILDING)
    canvas.rectangles(face, windows[lit], (236, 200, 120), LabelId.BUILDING, glow=190)


def _paint_wall(
    canvas: Canvas, style: Style, rng: np.random.Generator, face: Face, length: float, tone: float
) -> None:
    """Paint a solid wall: coping, courses, no openings."""
    height = rng.uniform(2.4, 3.8)
    colour = shaded(jittered(rng, style.wall, 0.04), tone)
    canvas.rectangle(face, (0.0, length), (0.0, height), colour, LabelId.WALL)
    courses = boxes_up((0.0, length), np.arange(0.4, height - 0.2, 0.5), 0.06)
    canvas.rectangles(face, courses, shaded(colour, 0.86), None)
    canvas.rectangle(face, (0.0, length), (height - 0.2, height), shaded(colour, 1.22), None)


def _paint_fence(
    canvas: Canvas, style: Style, rng: np.random.Generator, face: Face, length: float, tone: float
) -> None:
    """Paint a fence of boards and two rails; gaps carry its label too, as in Cityscapes."""
    height = rng.uniform(1.8, 2.8)
    colour = shaded(jittered(rng, style.fence, 0.04), tone)
    gap = shaded(colour, 0.42)
    canvas.rectangle(face, (0.0, length), (0.0, height), gap, LabelId.FENCE)
    boards = boxes_along(np.arange(0.05, length - 0.33, 0.55), 0.33, (0.0, height))
    canvas.rectangles(face, boards, colour, None)
    for t in (0.3 * height, 0.8 * height):
        canvas.rectangle(face, (0.0, length), (t, t + 0.12), shaded(colour, 1.15), None)


def paint_bridge(canvas: Canvas, style: Style, rng: np.random.Generator, z: float) -> None:
    """Paint a bridge that crosses the street overhead."""
    face = Face((0.0, 0.0, z))
    colour = jittered(rng, style.wall, 0.06)
    canvas.rectangle(face, (-60.0, 60.0), (5.2, 6.6), colour, LabelId.BRIDGE)
    canvas.rectangle(face, (-60.0, 60.0), (5.2, 5.5), shaded(colour, 0.6), None)
    canvas.rectangle(face, (-60.0, 60.0), (6.6, 7.3), shaded(colour, 0.85), LabelId.GUARD_RAIL)

"""Sky, and the strips of the street lengthwise: road, pavement, grass, rails, markings, shadows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from isnet.data.streets.canvas import Canvas, Colour, boxes_along, boxes_up, shaded
from isnet.data.streets.label_ids import LabelId
from isnet.data.streets.style import Style, jittered

__all__ = ["CrossSection", "Strip", "draw_cross_section", "paint_ground", "paint_sky"]

_NEAR, _FAR = 1.0, 160.0  # metres


@dataclass(frozen=True)
class Strip:
    """A lengthwise strip of ground between two distances from the street's axis."""

    label: LabelId
    inner: float
    outer: float

    @property
    def middle(self) -> float:
        """Distance of the strip's middle line from the axis."""
        return (self.inner + self.outer) / 2


@dataclass(frozen=True)
class CrossSection:
    """One side of the street, from the axis outwards; beyond the last strip is the frontage."""

    side: int
    """-1 left, 1 right."""
    strips: tuple[Strip, ...]
    beyond: LabelId

    @property
    def edge(self) -> float:
        """Distance of the frontage from the axis."""
        return self.strips[-1].outer

    def find(self, label: LabelId) -> Strip | None:
        """Return the innermost strip of that label."""
        return next((strip for strip in self.strips if strip.label == label), None)


def draw_cross_section(rng: np.random.Generator, side: int, rails: bool) -> CrossSection:
    """Draw the strips of one side; a side with rails has them between road and pavement."""
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
    strips, inner = [], 0.0
    for label, width in widths:
        strips.append(Strip(label, inner, inner + width))
        inner += width
    beyond = LabelId.TERRAIN if rng.random() < 0.75 else LabelId.GROUND
    return CrossSection(side, tuple(strips), beyond)


def paint_sky(canvas: Canvas, style: Style, rng: np.random.Generator) -> None:
    """Paint the sky as a gradient from zenith to haze, with clouds of low frequency."""
    rows, columns = canvas.colour.shape[:2]
    small = (rows // 4, columns // 4)  # a sky holds no detail
    share = np.clip(np.arange(small[0]) / (canvas.camera.horizon * small[0]), 0, 1)[:, None, None]
    sky = np.array(style.sky) + share**1.5 * (np.array(style.haze) - np.array(style.sky))
    puffs = rng.standard_normal((7, 9)).astype(np.float32)
    noise = cv2.resize(puffs, small[::-1], interpolation=cv2.INTER_CUBIC)
    cover = np.clip(noise * 0.5 + style.clouds - 0.25, 0.0, 0.75)[:, :, None]
    sky = sky + (np.array(style.haze) * 1.08 - sky) * cover
    smooth = np.clip(sky, 0, 255).astype(np.uint8)
    cv2.resize(smooth, (columns, rows), dst=canvas.colour, interpolation=cv2.INTER_LINEAR)


def paint_ground(
    canvas: Canvas, style: Style, rng: np.random.Generator, sections: tuple[CrossSection, ...]
) -> None:
    """Paint every strip from the frontage inwards, then markings and the frontage's shadow."""
    colours: dict[LabelId, Colour] = {
        LabelId.ROAD: style.road,
        LabelId.SIDEWALK: style.pavement,
        LabelId.TERRAIN: style.terrain,
        LabelId.PARKING: jittered(rng, style.road, 0.08),
        LabelId.RAIL_TRACK: jittered(rng, style.road, 0.1),
        LabelId.GROUND: jittered(rng, style.pavement, 0.08),
    }
    for section in sections:
        side = section.side
        outside = (side * section.edge, side * 400.0)
        canvas.ground(outside, (_NEAR, _FAR), colours[section.beyond], section.beyond)
        for strip in reversed(section.strips):
            span = (side * strip.inner, side * strip.outer)
            canvas.ground(span, (_NEAR, _FAR), colours[strip.label], strip.label)
            if strip.label == LabelId.RAIL_TRACK:
                _paint_rails(canvas, style, side * strip.middle)
            elif strip.label == LabelId.SIDEWALK:
                _paint_paving(canvas, style, side, strip)
        kerb = side * section.strips[0].outer
        canvas.ground((kerb - 0.1, kerb + 0.1), (_NEAR, 50.0), shaded(style.pavement, 1.2), None)
    canvas.set_ground_depth()
    _paint_markings(canvas, style, rng, sections)
    _paint_frontage_shadow(canvas, style, rng, sections)


def _paint_rails(canvas: Canvas, style: Style, x: float) -> None:
    sleepers = boxes_up((x - 1.2, x + 1.2), np.arange(4.0, 30.0, 1.1), 0.35)
    canvas.ground_boxes(sleepers, shaded(style.road, 0.72), None)
    for rail in (x - 0.75, x + 0.75):
        canvas.ground((rail - 0.09, rail + 0.09), (_NEAR, 90.0), (176, 172, 168), None)


def _paint_paving(canvas: Canvas, style: Style, side: int, strip: Strip) -> None:
    joint = shaded(style.pavement, 0.82)
    span = (side * strip.inner, side * strip.outer)
    canvas.ground_boxes(boxes_up(span, np.arange(3.0, 26.0, 1.0), 0.06), joint, None)
    lines = side * np.arange(strip.inner + 0.8, strip.outer - 0.2, 0.8)
    canvas.ground_boxes(boxes_along(lines, 0.06, (_NEAR, 26.0)), joint, None)


def _paint_markings(
    canvas: Canvas, style: Style, rng: np.random.Generator, sections: tuple[CrossSection, ...]
) -> None:
    dashes = boxes_up((-0.09, 0.09), np.arange(rng.uniform(2.0, 6.0), 70.0, 6.0), 3.0)
    canvas.ground_boxes(dashes, style.marking, None)
    for section in sections:
        x = section.side * (section.strips[0].outer - 0.35)
        canvas.ground((x - 0.07, x + 0.07), (_NEAR, 80.0), style.marking, None)
    if rng.random() < 0.4:
        z = rng.uniform(6.0, 18.0)
        left, right = -sections[0].strips[0].outer, sections[1].strips[0].outer
        bars = boxes_along(np.arange(left + 0.3, right - 0.6, 1.0), 0.5, (z, z + 3.0))
        canvas.ground_boxes(bars, style.marking, None)


def _paint_frontage_shadow(
    canvas: Canvas, style: Style, rng: np.random.Generator, sections: tuple[CrossSection, ...]
) -> None:
    section = sections[0] if style.sun < 0 else sections[1]
    reach = section.side * (section.edge - abs(style.sun) * rng.uniform(3.0, 9.0))
    z = sorted(rng.uniform(_NEAR, 40.0, 2).tolist())
    outside = section.side * 60.0
    corners = [(outside, 0, z[0]), (reach, 0, z[0]), (reach, 0, z[1]), (outside, 0, z[1])]
    canvas.shadow(np.array(corners, dtype=np.float64), 0.45 * style.hard_light)

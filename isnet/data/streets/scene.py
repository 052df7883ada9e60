"""One street: draws style, camera and layout, paints from far to near, develops the photograph."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt

from isnet.data.streets.atmosphere import develop
from isnet.data.streets.canvas import Camera, Canvas, shaded
from isnet.data.streets.frontage import paint_bridge, paint_frontage, paint_skyline, paint_tree
from isnet.data.streets.furniture import (
    paint_bin,
    paint_guard_rail,
    paint_lamp,
    paint_pole_group,
    paint_sign,
    paint_traffic_light,
    paint_trolley,
)
from isnet.data.streets.ground import CrossSection, draw_cross_section, paint_ground, paint_sky
from isnet.data.streets.label_ids import LabelId
from isnet.data.streets.people import paint_bicycle, paint_motorcycle, paint_person
from isnet.data.streets.style import Style, draw_style
from isnet.data.streets.vehicles import (
    Berth,
    paint_bus,
    paint_car,
    paint_caravan,
    paint_trailer,
    paint_train,
    paint_truck,
)

__all__ = ["paint_street"]

Painter = Callable[[Canvas, Style, np.random.Generator], None]
Thing = tuple[float, Painter]
"""Depth in metres, and what paints it."""


def paint_street(
    seed: tuple[int, ...], height: int, width: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return image (H, W, 3) RGB and label ids (H, W) of the street that `seed` stands for.

    The layout does not depend on the size: at the same aspect, another size shows the same street.
    """
    layout, sensor = (np.random.default_rng((*seed, stream)) for stream in (0, 1))
    style = draw_style(layout)
    rail_side = int(layout.choice([-1, 1, 0], p=[0.38, 0.22, 0.4]))
    left, right = (draw_cross_section(layout, side, rail_side == side) for side in (-1, 1))
    camera = Camera(
        focal=layout.uniform(1.25, 1.6),
        horizon=layout.uniform(0.32, 0.55),
        centre=width / height / 2 + layout.uniform(-0.4, 0.4),
        x=right.strips[0].outer * layout.uniform(0.3, 0.6),
        height=layout.uniform(1.4, 2.0),
    )
    canvas = Canvas(camera, height, width)
    paint_sky(canvas, style, layout)
    paint_ground(canvas, style, layout, (left, right))
    paint_skyline(canvas, style, layout, (left, right))
    for section in (left, right):
        paint_frontage(canvas, style, layout, section)
    things = _traffic(layout, left, right) + _kerbside(layout, left) + _kerbside(layout, right)
    if layout.random() < 0.12:
        z = layout.uniform(25.0, 45.0)
        things.append((z, partial(paint_bridge, z=z)))
    for _, paint in sorted(things, key=lambda thing: -thing[0]):
        paint(canvas, style, layout)
    _paint_frame(canvas, style, layout)
    return develop(canvas, style, sensor)


def _traffic(rng: np.random.Generator, left: CrossSection, right: CrossSection) -> list[Thing]:
    """Place vehicles: a bag of big ones and cars is dealt to berths in lanes, at kerbs, across."""
    things: list[Thing] = []
    for section in (left, right):
        rails = section.find(LabelId.RAIL_TRACK)
        if rails is not None and rng.random() < 0.85:
            z = rng.uniform(7.0, 20.0)
            things.append((z, partial(paint_train, berth=Berth(section.side * rails.middle, z))))
    berths = _berths(rng, left, right)
    order = rng.permutation(len(berths))
    bag = [paint for paint, chance in _VEHICLES if rng.random() < chance]
    bag += [paint_car] * int(rng.integers(2, 5))
    for place, paint in zip(order, bag, strict=False):
        things.append((berths[place].z, partial(paint, berth=berths[place])))
    wheelers = (paint_bicycle, paint_motorcycle)
    for paint_wheeler in wheelers:
        for ridden, chance in ((True, 0.45), (False, 0.4)):
            if rng.random() < chance:
                z = rng.uniform(4.5, 8.5)
                section = left if rng.random() < 0.5 else right
                x = section.side * section.strips[0].outer * rng.uniform(0.5, 1.15)
                things.append((z, partial(paint_wheeler, x=x, z=z, ridden=ridden)))
    return things


_VEHICLES = (
    (paint_bus, 0.6),
    (paint_bus, 0.15),
    (paint_truck, 0.62),
    (paint_truck, 0.15),
    (paint_caravan, 0.1),
    (paint_trailer, 0.1),
)


def _berths(rng: np.random.Generator, left: CrossSection, right: CrossSection) -> list[Berth]:
    """Return places far enough from each other for the longest vehicle."""
    oncoming = -left.strips[0].outer * 0.5
    own = right.strips[0].outer * 0.5
    berths = [Berth(oncoming, z + rng.uniform(-1.5, 1.5), oncoming=True) for z in (9.0, 23.0)]
    berths.append(Berth(own, rng.uniform(12.0, 20.0)))
    for section in (left, right):
        parking = section.find(LabelId.PARKING)
        kerb = parking.middle if parking else section.strips[0].outer - 0.9
        for z in (7.5, 20.0):
            place = section.side * kerb
            berths.append(Berth(place, z + rng.uniform(-1.5, 2.0), oncoming=section.side < 0))
    z = rng.uniform(15.0, 24.0)
    berths += [Berth(x + rng.uniform(-1.0, 1.0), z, across=True) for x in (-5.0, 5.0)]
    return berths


def _kerbside(rng: np.random.Generator, section: CrossSection) -> list[Thing]:
    """Place people, poles, lights, signs, trees and void objects on one side's pavement."""
    things: list[Thing] = []
    pavement = section.find(LabelId.SIDEWALK)
    assert pavement is not None, "every cross-section has a pavement"
    side, kerb = section.side, section.side * (pavement.inner + 0.25)

    def place(paint: Callable[..., None], x: float, z: float) -> None:
        things.append((z, partial(paint, x=x, z=z)))

    for _ in range(int(rng.integers(2, 5))):
        x = side * rng.uniform(pavement.inner - 1.0, pavement.outer)
        place(paint_person, x, rng.uniform(6.5, 12.0))
    start = rng.uniform(8.0, 13.0)
    for z in np.arange(start, 45.0, rng.uniform(10.0, 15.0)):
        place(paint_lamp, kerb, float(z))
    for paint, chance, near, far in _FURNITURE:
        if rng.random() < chance:
            place(paint, kerb, rng.uniform(near, far))
    verge = section.find(LabelId.TERRAIN)
    if verge is not None:
        for z in np.arange(rng.uniform(10.0, 20.0), 40.0, 12.0):
            if rng.random() < 0.5:
                x, tall = side * verge.middle, rng.uniform(4.0, 6.5)
                things.append((float(z), partial(paint_tree, x=x, z=float(z), height=tall)))
    return things


_FURNITURE = (
    (paint_traffic_light, 0.45, 7.0, 13.0),
    (paint_traffic_light, 0.25, 12.0, 20.0),
    (paint_sign, 0.55, 6.0, 12.0),
    (paint_sign, 0.3, 10.0, 20.0),
    (paint_bin, 0.3, 6.0, 16.0),
    (paint_trolley, 0.15, 6.0, 12.0),
    (paint_pole_group, 0.1, 8.0, 16.0),
    (paint_guard_rail, 0.1, 6.0, 14.0),
)


def _paint_frame(canvas: Canvas, style: Style, rng: np.random.Generator) -> None:
    """Paint what Cityscapes excludes: the car's own hood and the borders of rectification."""
    aspect = canvas.aspect
    if rng.random() < 0.75:
        middle, rise = aspect * rng.uniform(0.4, 0.6), rng.uniform(0.03, 0.08)
        angles = np.linspace(0.0, math.pi, 24)
        hood = np.empty((24, 2))
        hood[:, 0] = middle + 0.62 * aspect * np.cos(angles)
        hood[:, 1] = 1.01 - rise * np.sin(angles) ** 0.7
        canvas.image_polygons(hood[None], style.hood, LabelId.EGO_VEHICLE)
        canvas.image_polygons(hood[None] + (0, 0.03), shaded(style.hood, 1.3), None)
    edge = 0.012
    for x in (0.0, aspect - edge):
        bar = np.array([(x, -0.1), (x + edge, -0.1), (x + edge, 1.1), (x, 1.1)])
        canvas.image_polygons(bar[None], (0, 0, 0), LabelId.RECTIFICATION_BORDER)
    rows = max(1, round(edge * canvas.colour.shape[0]))
    canvas.meta[:rows, :, 0] = LabelId.OUT_OF_ROI
